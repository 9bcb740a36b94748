"""The ten alert rules: a condition, how long it has to hold, how loud it is, and what a reader is told.

1. `summary` is one static sentence, `description` says which pool and how much, and every rule has a runbook.
2. The name is the key everywhere: runbook file, dashboard annotation, inhibition, test.
"""

from collections.abc import Callable
from dataclasses import dataclass

from poolscope.alerts import expressions as x
from poolscope.alerts.links import Links
from poolscope.alerts.promql import POOL, Selectors, number
from poolscope.alerts.settings import Settings

GROUP = "httpx-pool"
CRITICAL, WARNING, INFO = SEVERITIES = ("critical", "warning", "info")

UTILIZATION = "HttpxPoolUtilizationHigh"
CHECKOUTS_SLOW = "HttpxPoolCheckoutsSlow"
CREATION_SPIKE = "HttpxPoolCreationSpike"
STALLED = "HttpxPoolStalled"
TIMEOUTS = "HttpxPoolTimeouts"
LEAKS = "HttpxPoolLeaks"
ORPHANED = "HttpxPoolOrphanedSlots"
KEEP_ALIVE_CHURN = "HttpxPoolKeepAliveChurn"
CLIENT_PER_REQUEST = "HttpxPoolClientPerRequest"
STALE_REUSE = "HttpxPoolStaleReuse"

SHARE = "{{ $value | humanizePercentage }}"
WHOLE = '{{ $value | printf "%.0f" }}'
"""An increase is stretched to the window's edges: one event may read 1.04."""
WHICH = f"Pool {{{{ $labels.{POOL} }}}} on {{{{ $labels.instance }}}}"


@dataclass(frozen=True, slots=True)
class Rule:
    """One alert. `hold`, `keep`: seconds that the condition has to last, and that the alert outlasts it."""

    name: str
    severity: str
    expression: str
    hold: float
    keep: float
    summary: str
    description: str
    runbook_url: str
    dashboard_url: str

    @property
    def annotations(self) -> dict[str, str]:
        """What the alert says, in the order a reader wants it."""
        return {
            "summary": self.summary,
            "description": self.description,
            "runbook_url": self.runbook_url,
            "dashboard_url": self.dashboard_url,
        }


def spoken(seconds: float) -> str:
    """Say a number of seconds as a reader would."""
    for size, unit in ((3600, "hour"), (60, "minute")):
        if seconds >= size and seconds % size == 0:
            many = int(seconds // size)
            return f"{many} {unit}s" if many > 1 else unit
    return f"{number(seconds)} s"


def percent(ratio: float) -> str:
    """Say a share as a reader would."""
    return f"{number(ratio * 100)} %"


Row = tuple[str, str, Callable[[Selectors, Settings], str], float, str, str]


def _pressed(s: Settings) -> list[Row]:
    slow = number(s.slow_seconds)
    return [
        (
            UTILIZATION,
            WARNING,
            x.utilization,
            s.utilization_for,
            "A connection pool is close to its limit.",
            (
                f"{WHICH} used {SHARE} of its connections over the last "
                f"{spoken(s.utilization_window)}, and was above {percent(s.utilization_ratio)} for "
                f"{percent(s.utilization_share)} of them."
            ),
        ),
        (
            CHECKOUTS_SLOW,
            CRITICAL,
            x.checkouts_slow,
            s.slow_for,
            f"Requests wait longer than {slow} s for a connection.",
            (
                f"{SHARE} of the requests that left the queue of pool "
                f"{{{{ $labels.{POOL} }}}} on {{{{ $labels.instance }}}} in the last {spoken(s.slow_window)} "
                f"had waited longer than {slow} s."
            ),
        ),
        (
            CREATION_SPIKE,
            WARNING,
            x.creation_spike,
            s.creation_for,
            "A connection pool opens far more connections than usual for its traffic.",
            (
                f"{WHICH} opens {{{{ $value | humanize }}}} connections a second, more than "
                f"{number(s.creation_times_usual)} times what the service's instances opened on average."
            ),
        ),
    ]


def _stuck(s: Settings) -> list[Row]:
    return [
        (
            STALLED,
            CRITICAL,
            x.stalled,
            0,
            "Requests wait for a connection and none is handed out.",
            (
                f"{WHICH} has had requests waiting and has handed out no connection for "
                f"{spoken(s.stalled_window)}; {{{{ $value }}}} wait now."
            ),
        ),
        (
            TIMEOUTS,
            CRITICAL,
            x.timeouts,
            0,
            "Requests fail with PoolTimeout.",
            (
                f"{SHARE} of the requests that left the queue of pool "
                f"{{{{ $labels.{POOL} }}}} on {{{{ $labels.instance }}}} in the last {spoken(s.timeout_window)} "
                "left it with PoolTimeout."
            ),
        ),
    ]


def _lost(s: Settings) -> list[Row]:
    return [
        (
            LEAKS,
            WARNING,
            x.leaks,
            0,
            "A connection pool leaks connections.",
            (
                f"{WHICH} leaked in the last {spoken(s.leak_window)}: {WHOLE} of the type "
                "{{ $labels.http_client_connection_leak_type }}."
            ),
        ),
        (
            ORPHANED,
            WARNING,
            x.orphaned,
            0,
            "Slots of a connection pool are lost until the process restarts.",
            f"{WHICH} has lost {{{{ $value }}}} slots: no request owns them and no request can have them.",
        ),
    ]


def _wasteful(s: Settings) -> list[Row]:
    return [
        (
            KEEP_ALIVE_CHURN,
            WARNING,
            x.keep_alive_churn,
            s.churn_for,
            "A connection pool closes good connections that the next requests have to open again.",
            (
                f"{WHICH} closed a good connection for {SHARE} of its requests "
                f"over the last {spoken(s.churn_window)}, because of its keep-alive limit or to make room."
            ),
        ),
        (
            CLIENT_PER_REQUEST,
            WARNING,
            x.client_per_request,
            s.client_per_request_for,
            "A client is made for nearly every request.",
            (
                f"{WHICH} was made anew {{{{ $value | humanize }}}} times for each request of the last "
                f"{spoken(s.client_per_request_window)}: no connection can be reused."
            ),
        ),
        (
            STALE_REUSE,
            INFO,
            x.stale_reuse,
            s.stale_for,
            "Servers close idle connections before the pool does, so that a reuse may fail.",
            (
                f"{WHICH} lost {SHARE} of the connections that ended in the last "
                f"{spoken(s.stale_window)} to a server that closed them while they were idle."
            ),
        ),
    ]


def rules(settings: Settings | None = None, selector: str = "", links: Links | None = None) -> list[Rule]:
    """Write the ten rules."""
    s, links, select = settings or Settings(), links or Links(), Selectors(selector)
    return [
        Rule(
            name,
            severity,
            expression(select, s),
            hold,
            s.keep_firing_for,
            summary,
            description,
            links.runbook(name),
            links.dashboard(),
        )
        for name, severity, expression, hold, summary, description in _pressed(s) + _stuck(s) + _lost(s) + _wasteful(s)
    ]
