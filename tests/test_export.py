"""`poolscope export`: every kind, its options, its errors in one line. `test_package.py` does it from the wheel."""

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from alerting import lint
from alerting.promtool import tool
from poolscope.alerts.rules import rules
from poolscope.cli._app import run
from poolscope.cli.export import KINDS

ROOT = Path(__file__).parents[1]
COMMITTED = {
    "prometheus": "dashboards/prometheus",
    "recording": "dashboards/prometheus",
    "runbooks": "docs/runbooks",
    "findings": "docs/findings",
    "prometheusrule": "dashboards/kubernetes",
    "alertmanager": "dashboards/alertmanager",
    "grafana": "dashboards/grafana",
    "grafana-alerts": "dashboards/grafana-alerts",
}


@pytest.mark.parametrize("kind", COMMITTED)
def test_the_defaults_are_the_committed_files(kind, tmp_path, capsys):
    assert run(["export", kind, str(tmp_path)]) == 0
    files = sorted(tmp_path.iterdir())
    assert capsys.readouterr().out.split() == [str(file) for file in files]
    for file in files:
        assert file.read_text() == (ROOT / COMMITTED[kind] / file.name).read_text()


def exported(kind, folder, *options):
    assert run(["export", kind, str(folder), *options]) == 0
    return {file.name: file.read_text() for file in folder.iterdir()}


def lints(file):
    command = [tool("promtool"), "check", "rules", "--lint=all", "--lint-fatal", str(file)]
    return subprocess.run(command, capture_output=True, text=True, check=False).returncode == 0


def test_options_of_the_rules(tmp_path):
    options = ["--selector", 'team="payments", env!="test"', "--set", "utilization_ratio=0.9"]
    options += ["--set", "slow_seconds=2.5", "--runbooks", "https://wiki.example/r/", "--grafana", "https://g.example"]
    text = exported("prometheus", tmp_path, *options)["poolscope.rules.yml"]
    assert lints(tmp_path / "poolscope.rules.yml")
    for group in yaml.safe_load(text)["groups"]:
        for rule in group["rules"]:
            metrics, narrowed = rule["expr"].count("http_client_connection_"), rule["expr"].count('team="payments"')
            assert 0 < narrowed <= metrics
            assert rule["annotations"]["runbook_url"] == f"https://wiki.example/r/{rule['alert']}.md"
            assert rule["annotations"]["dashboard_url"].startswith("https://g.example/d/httpx-one-pool?")
    assert "> 0.9" in text
    assert 'le=~"2[.]5"' in text
    assert "longer than 2.5 s" in text


def test_every_selector_of_every_rule_is_narrowed():
    import promql_parser as promql

    for rule in rules(selector='team="payments"'):
        for selector in lint.selectors(promql.parse(rule.expression)):
            assert ("team", "payments") in {(m.name, m.value) for m in selector.matchers.matchers}


def test_every_selector_of_the_dashboards_is_narrowed(tmp_path):
    files = exported("grafana", tmp_path, "--selector", 'team="payments"', "--datasource", "prom-1")
    for text in files.values():
        board = json.loads(text)
        assert all('team="payments"' in expr for _, expr in lint.queries(board))
        assert list(lint.queries_parse(board)) == []
        variables = lint.variables(board)
        assert variables["datasource"]["current"]["value"] == "prom-1"
        assert variables["job"]["query"] == 'label_values(http_client_connection_max{team="payments"}, job)'
        matched = "=~" if variables["job"]["multi"] else "="
        assert f'{{team="payments", job{matched}"$job"' in variables["pool"]["query"]


def test_a_prometheus_rule_holds_the_rule_file(tmp_path):
    tree = yaml.safe_load(exported("prometheusrule", tmp_path)["prometheus-rule.yaml"])
    assert (tree["apiVersion"], tree["kind"]) == ("monitoring.coreos.com/v1", "PrometheusRule")
    assert tree["spec"] == yaml.safe_load((ROOT / "dashboards/prometheus/poolscope.rules.yml").read_text())


def test_a_config_map_holds_the_dashboards(tmp_path):
    tree = yaml.safe_load(exported("configmap", tmp_path)["dashboards-configmap.yaml"])
    assert tree["metadata"]["labels"] == {"grafana_dashboard": "1"}
    for name, text in tree["data"].items():
        assert text == (ROOT / "dashboards/grafana" / name).read_text()


def test_grafana_runs_the_same_expressions(tmp_path):
    tree = yaml.safe_load(exported("grafana-alerts", tmp_path, "--datasource", "prom-1")["poolscope-alerts.yaml"])
    made = tree["groups"][0]["rules"]
    assert [rule["title"] for rule in made] == [rule.name for rule in rules()]
    for rule, ours in zip(made, rules(), strict=True):
        query, condition = rule["data"]
        assert query["model"]["expr"] == ours.expression
        assert query["datasourceUid"] == "prom-1"
        assert condition["refId"] == rule["condition"]
        assert rule["noDataState"] == "OK"
        assert len(rule["uid"]) <= 40
        assert "$value " not in rule["annotations"]["description"]
    assert len({rule["uid"] for rule in made}) == len(made)


def test_grafana_com_asks_for_the_data_source(tmp_path):
    for text in exported("grafana-com", tmp_path).values():
        tree = json.loads(text)
        assert [source["name"] for source in tree["__inputs"]] == ["DS_PROMETHEUS"]
        assert "${datasource}" not in text
        assert "datasource" not in [v["name"] for v in tree["templating"]["list"]]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["rules"], "'rules' is no kind to export; there are prometheus, prometheusrule"),
        ([], "export needs a kind: prometheus"),
        (["prometheus", "--selector", "team=payments"], "--selector: 'team=payments' is no list of matchers"),
        (
            ["prometheus", "--set", "utilisation=1"],
            "--set: there is no setting 'utilisation'; export --list names them",
        ),
        (["prometheus", "--set", "slow_ratio=much"], "--set slow_ratio: 'much' is no number"),
        (
            ["prometheus", "--set", "utilization_share=80"],
            "utilization_share is a share and cannot be more than 1, not 80",
        ),
        (["prometheus", "--set", "slow_ratio=5"], "slow_ratio is a share and cannot be more than 1, not 5"),
        (["prometheus", "--set", "slow_seconds=4"], "slow_seconds must be a bucket of the wait histogram"),
        (["prometheus", "--set", "slow_count=nan"], "slow_count must be greater than 0, not nan"),
        (["prometheus", "--set", "slow_window=inf"], "slow_window must be finite"),
        (["prometheus", "--set", "slow_window=0.0001"], "--set slow_window: 0.0001 s is less than a second"),
        (["prometheus", "--set", "slow_window=1.0001"], "slow_window must be whole milliseconds and at most a year"),
        (["prometheus", "--set", "slow_window=1e300"], "slow_window must be whole milliseconds and at most a year"),
        (
            ["prometheus", "--set", "utilization_step=601"],
            "utilization_step cannot be longer than utilization_window: 601 s is more than 600 s",
        ),
        (["prometheus", "--runbooks", "wiki"], "--runbooks: 'wiki' is no http or https URL"),
        (["grafana", "--datasource", "my prom"], "--datasource: 'my prom' is no uid"),
        (["grafana", "--set", "slow_ratio=0.1"], "--set changes nothing in grafana"),
        (["alertmanager", "--datasource", "x"], "--datasource changes nothing in alertmanager"),
        (["prometheus", "--recorded"], "--recorded changes nothing in prometheus"),
        (["grafana", "-"], "- prints a single file, and these are 2: name a directory"),
        (["prometheus", "/dev/null/x"], "cannot write /dev/null/x: Not a directory"),
    ],
)
def test_a_bad_value_is_one_clear_line(arguments, words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(["export", *arguments]) in (1, 2)
    out = capsys.readouterr()
    assert out.out == ""
    assert out.err.count("\n") == 1
    assert words in out.err
    assert list(tmp_path.iterdir()) == []


def test_a_window_and_its_step_are_changed_together(tmp_path):
    changes = ["--set", "utilization_window=10", "--set", "utilization_step=5"]
    assert "[10s:5s]" in exported("prometheus", tmp_path, *changes)["poolscope.rules.yml"]


def test_list_names_every_kind_and_setting(capsys):
    assert run(["export", "--list"]) == 0
    out = capsys.readouterr().out
    assert all(kind in out for kind in KINDS)
    assert "utilization_ratio=0.8" in out


def test_a_single_file_can_be_printed(capsys):
    assert run(["export", "prometheus", "-"]) == 0
    assert capsys.readouterr().out == (ROOT / "dashboards/prometheus/poolscope.rules.yml").read_text()
