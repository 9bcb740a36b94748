"""An example configuration for Alertmanager: what is grouped, where each severity goes, and what silences what.

An inhibition holds between alerts of one pool of one process only: `equal` names the pool's own label, so that
trouble in one pool never hides trouble in another one beside it.
"""

from poolscope.alerts.promql import FLEET, PROCESS
from poolscope.alerts.rules import CHECKOUTS_SLOW, CRITICAL, INFO, STALLED, TIMEOUTS, UTILIZATION, WARNING
from poolscope.alerts.yaml import Tree, dump

HEAD = """An example for Alertmanager: put your receivers in. Written by `poolscope export`.

Grouping: one message per alert, service and pool, however many instances fire it.
Inhibition: what users feel silences what leads up to it, for the same pool of the same instance."""

NAMES = 'alertname=~"HttpxPool.+"'


def _inhibit(sources: list[str], targets: list[str]) -> Tree:
    return {
        "source_matchers": [f'alertname=~"{"|".join(sources)}"'],
        "target_matchers": [f'alertname=~"{"|".join(targets)}"'],
        "equal": list(PROCESS),
    }


INHIBITIONS = (
    ([STALLED, TIMEOUTS], [CHECKOUTS_SLOW, UTILIZATION]),
    ([CHECKOUTS_SLOW], [UTILIZATION]),
)


def alertmanager(url: str = "http://localhost:9099", group_wait: str = "30s", group_interval: str = "5m") -> str:
    """Write the configuration; `url` is where the example's webhooks go."""
    receivers = {CRITICAL: "page", WARNING: "ticket", INFO: "digest"}
    routes = [
        {"matchers": [f'severity="{severity}"'], "receiver": name, "repeat_interval": repeat}
        for (severity, name), repeat in zip(receivers.items(), ("1h", "1d", "7d"), strict=True)
    ]
    tree = {
        "route": {
            "receiver": "default",
            "routes": [
                {
                    "matchers": [NAMES],
                    "receiver": "ticket",
                    "group_by": ["alertname", *FLEET],
                    "group_wait": group_wait,
                    "group_interval": group_interval,
                    "repeat_interval": "1d",
                    "routes": routes,
                }
            ],
        },
        "inhibit_rules": [_inhibit(sources, targets) for sources, targets in INHIBITIONS],
        "receivers": [
            {"name": "default"},
            *(
                {"name": name, "webhook_configs": [{"url": f"{url}/{name}", "send_resolved": True}]}
                for name in receivers.values()
            ),
        ],
    }
    return dump(tree, HEAD)
