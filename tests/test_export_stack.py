"""`poolscope demo --stack`: both servers run with the rules loaded, are gone afterwards, and are asked for by name."""

import os
import signal

import pytest
from prometheus_client import CollectorRegistry, start_http_server

from alerting.promtool import ROOT, tool
from alerting.servers import get, until
from poolscope.alerts.rules import rules
from poolscope.cli import _stack
from poolscope.cli._app import run
from terminal import PATIENCE, started


@pytest.fixture
def on_path(tmp_path, monkeypatch):
    """Put the tools where a machine that has them installed has them."""
    for name in ("prometheus", "alertmanager"):
        (tmp_path / name).symlink_to(tool(name))
    monkeypatch.setenv("PATH", str(tmp_path))
    templates = ROOT / ".cache/tools/root/usr/share/prometheus/alertmanager"
    if templates.exists():
        monkeypatch.chdir(templates)


def test_both_run_with_the_rules_and_stop(on_path, monkeypatch):
    """Also where the environment has a proxy, which cannot reach this machine's loopback."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    server, thread = start_http_server(0, addr="127.0.0.1", registry=CollectorRegistry())
    try:
        with _stack.running(server.server_port) as (prometheus, alertmanager):
            monkeypatch.delenv("http_proxy")
            groups = get(f"{prometheus}/api/v1/rules")["data"]["groups"]
            assert [rule["name"] for rule in groups[0]["rules"]] == [rule.name for rule in rules()]
            until(lambda: get(f"{prometheus}/api/v1/alertmanagers")["data"]["activeAlertmanagers"], "Alertmanager")
            up = f"{prometheus}/api/v1/query"
            until(lambda: get(up, query='up{job="demo"} == 1')["data"]["result"], "a scrape")
            assert get(f"{alertmanager}/api/v2/status")["cluster"]["status"] == "disabled"
        for url in (prometheus, alertmanager):
            with pytest.raises(OSError, match="refused"):
                get(url)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize("there", [(), ("prometheus",)])
def test_what_is_missing_is_one_line(there, tmp_path, monkeypatch, capsys):
    for name in there:
        (tmp_path / name).symlink_to("/bin/true")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run(["demo", "--stack", "--fast", "--port", "0"]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "is not on PATH: apt-get install prometheus prometheus-alertmanager" in err


def test_a_server_that_ends_at_once_is_one_line(tmp_path, monkeypatch, capsys):
    for name in ("prometheus", "alertmanager"):
        (tmp_path / name).symlink_to("/bin/false")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run(["demo", "--stack", "--fast", "--port", "0"]) == 1
    assert "prometheus ended with status 1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("number", "status", "line"), [(signal.SIGTERM, 143, "terminated"), (signal.SIGHUP, 129, "hung up")]
)
def test_a_signal_before_the_demo_runs_leaves_no_server_behind(number, status, line, tmp_path):
    """Prometheus is there and never gets ready; it has a session of its own, so only the demo can end it."""
    for name in ("prometheus", "alertmanager"):
        (tmp_path / name).write_text(f"#!/bin/sh\necho $$ > {tmp_path}/started\nexec /bin/sleep 60\n")
        (tmp_path / name).chmod(0o755)
    environment = {**os.environ, "PATH": str(tmp_path)}
    with started("demo", "--stack", "--fast", "--port", "0", env=environment) as process:
        pid = until(lambda: _read(tmp_path / "started"), "the server's process id")
        process.send_signal(number)
        _, errors = process.communicate(timeout=PATIENCE)
    assert (process.returncode, errors) == (status, f"poolscope: {line}\n")
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)


def _read(path):
    return path.read_text() if path.exists() else ""
