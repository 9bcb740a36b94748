"""What is committed under dashboards/, by path: the dashboards' JSON and the rule files."""

import json
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from poolscope.alerts import boards, recording
from poolscope.alerts.forms import grafana_alerts, prometheus, prometheus_rule
from poolscope.alerts.routing import alertmanager
from poolscope.alerts.rules import rules
from poolscope.alerts.settings import Settings

from . import fleet, one_pool
from .layout import SAYING, Page

ROOT = Path(__file__).parents[2]


def classic(page: Page) -> dict:
    """Give a dashboard as classic JSON.

    Grafana escapes what it puts into a regular expression only where more than one value can be chosen. Elsewhere the
    value of a variable is matched as it is: an IPv6 address is no class of characters.
    """
    text = json.dumps(page.built.build(), cls=JSONEncoder)
    tree = json.loads(text if page.many else text.replace('=~\\"$', '=\\"$'))
    for note in tree["annotations"]["list"]:
        note.update(SAYING[note["name"]])
    return tree


def artefacts() -> dict[str, str]:
    """Give every generated file's text."""
    every, settings = rules(), Settings()
    return {
        "dashboards/grafana/connection-pool.json": boards.written(classic(fleet.build())),
        "dashboards/grafana/one-pool.json": boards.written(classic(one_pool.build())),
        "dashboards/alertmanager/alertmanager.yml": alertmanager(),
        "dashboards/prometheus/poolscope.rules.yml": prometheus(every, settings),
        "dashboards/prometheus/poolscope.recording.rules.yml": recording.prometheus(),
        "dashboards/kubernetes/prometheus-rule.yaml": prometheus_rule(every, settings),
        "dashboards/grafana-alerts/poolscope-alerts.yaml": grafana_alerts(every, settings, "prometheus"),
    }
