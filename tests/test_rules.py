"""The committed rules, on simulated histories, under promtool: what fires, with which labels, and for how long."""

import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from alerting import promtool
from alerting import scenarios_churn as churn
from alerting import scenarios_load as load
from alerting import scenarios_seen as seen
from alerting import scenarios_spike as spike
from alerting.promtool import Scenario, run, tool
from alerting.scenarios_churn import CHURN
from alerting.scenarios_load import LOAD
from alerting.scenarios_seen import SEEN
from alerting.scenarios_spike import SPIKE
from alerting.scenarios_workers import WORKERS
from alerting.texts import TEXTS, text_test
from poolscope.alerts.forms import prometheus
from poolscope.alerts.rules import rules
from poolscope.alerts.settings import Settings, duration


def scenario(maker, form):
    pools, fires = maker(form)
    return Scenario(f"{maker.__name__} ({form})", pools, fires)


CASES = [scenario(maker, "native") for maker in (*LOAD, *SPIKE, *CHURN, *WORKERS, *SEEN)]
OTEL = (
    load.utilization_sustained,
    load.slow,
    load.slow_by_time_out,
    load.hung,
    spike.spike_ends,
    churn.leak,
    churn.slots_lost,
    churn.churn,
    churn.client_per_request,
    churn.stale,
    load.queue_that_moves,
    spike.bad_deploy,
    seen.first_requests_queue_and_move,
    seen.first_requests_to_another_origin_time_out,
    seen.first_requests_ever_time_out,
    seen.few_of_the_first_requests_time_out,
    seen.time_outs_after_the_requests,
)
CASES += [scenario(maker, "otel") for maker in OTEL]


def outcome(case):
    with tempfile.TemporaryDirectory() as folder:
        return run([case.test()], Path(folder))


@pytest.fixture(scope="module")
def outcomes():
    """promtool's word on every case, two at a time."""
    with ThreadPoolExecutor(2) as pool:
        yield {case.name: pool.submit(outcome, case) for case in CASES}


@pytest.mark.timeout(180)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_rules_fire_when_and_only_when_they_should(case, outcomes):
    assert outcomes[case.name].result() == ""


def test_every_alert_fires_somewhere_in_every_form():
    """Workers have no histograms of their own or counters that differ; there, the joins with a pid are what counts."""
    for form in ("native", "otel"):
        fired = {fire.alert for case in CASES if form in case.name for fire in case.fires}
        assert fired == {rule.name for rule in rules()}


@pytest.mark.parametrize("form", ["native", "otel"])
@pytest.mark.parametrize("alert", sorted(TEXTS))
def test_labels_and_annotations_are_exactly_these(alert, form, tmp_path):
    assert run([text_test(alert, form)], tmp_path) == ""


def test_every_alert_has_its_text_pinned():
    assert sorted(TEXTS) == sorted(rule.name for rule in rules())


def test_a_wrong_expectation_is_noticed(tmp_path):
    """The gate itself: an alert that is due and not expected fails the run, and so does one expected in vain."""
    by_name = {case.name: case for case in CASES}
    due, calm = by_name["timeouts_of_two_origins (native)"], by_name["timeouts_few (native)"]
    assert "got:" in run([Scenario("silent", due.pools, []).test()], tmp_path)
    fire = promtool.Fire(due.fires[0].alert, calm.pools[0], 14)
    assert "got: nil" in run([Scenario("in vain", calm.pools, [fire]).test()], tmp_path)


def test_the_committed_file_is_what_the_code_writes():
    assert promtool.RULES.read_text() == prometheus(rules(), Settings())


def test_promtool_lints_the_file():
    command = [tool("promtool"), "check", "rules", "--lint=all", "--lint-fatal", str(promtool.RULES)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_settings_scale_by_one_factor():
    plain, fast = Settings(), Settings().scaled(60)
    assert fast.utilization_window == 10
    assert duration(fast.utilization_step) == "250ms"
    assert fast.utilization_points == plain.utilization_points == 32
    assert (fast.slow_seconds, fast.slow_ratio, fast.slow_count) == (5, 0.01, 3)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"utilization_ratio": 80}, "utilization_ratio is a share and cannot be more than 1, not 80"),
        ({"slow_window": 0}, "slow_window must be greater than 0, not 0"),
        ({"slow_seconds": 4}, "slow_seconds must be a bucket of the wait histogram"),
        ({"slow_count": float("nan")}, "slow_count must be greater than 0, not nan"),
        ({"slow_window": 0.0001}, "slow_window must be whole milliseconds and at most a year, not 0.0001 s"),
        ({"stalled_step": 200}, "stalled_step cannot be longer than stalled_window: 200 s is more than 180 s"),
    ],
)
def test_settings_refuse_what_no_rule_could_hold(change, words):
    with pytest.raises(ValueError, match=words):
        Settings(**change)


@pytest.mark.parametrize(
    ("seconds", "text"), [(600, "10m"), (15, "15s"), (0.25, "250ms"), (3600, "1h"), (5400, "90m"), (86400, "1d")]
)
def test_durations_read_as_in_promql(seconds, text):
    assert duration(seconds) == text


def test_no_two_histories_share_a_name():
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names)
