"""What each alert says, word for word: one history per alert, one moment, every label and annotation."""

from alerting import scenarios_churn as churn
from alerting import scenarios_load as load
from alerting import scenarios_seen as seen
from alerting import scenarios_spike as spike
from poolscope.alerts import rules as r

POOL = "Pool payments on shop-0:8000"
DASHBOARD = "/d/httpx-one-pool?var-job=shop&var-instance=shop-0%3A8000&var-pool=payments"
RUNBOOKS = "docs/runbooks"

TEXTS = {
    r.UTILIZATION: (
        load.utilization_with_odd_dips,
        30.5,
        "warning",
        "A connection pool is close to its limit.",
        f"{POOL} used 86.1% of its connections over the last 10 minutes, and was above 80 % for 80 % of them.",
    ),
    r.CHECKOUTS_SLOW: (
        load.slow_with_short_bounds,
        18,
        "critical",
        "Requests wait longer than 5 s for a connection.",
        (
            "2% of the requests that left the queue of pool payments on shop-0:8000 in the last 5 minutes had waited "
            "longer than 5 s."
        ),
    ),
    r.CREATION_SPIKE: (
        spike.spike_ends,
        74,
        "warning",
        "A connection pool opens far more connections than usual for its traffic.",
        f"{POOL} opens 6 connections a second, more than 3 times what the service's instances opened on average.",
    ),
    r.STALLED: (
        load.hung_since_the_start,
        10,
        "critical",
        "Requests wait for a connection and none is handed out.",
        f"{POOL} has had requests waiting and has handed out no connection for 3 minutes; 9 wait now.",
    ),
    r.TIMEOUTS: (
        seen.time_outs_after_the_requests,
        20,
        "critical",
        "Requests fail with PoolTimeout.",
        (
            "100% of the requests that left the queue of pool payments on shop-0:8000 in the last 5 minutes left it "
            "with PoolTimeout."
        ),
    ),
    r.LEAKS: (
        seen.leak_scraped_each_minute,
        25.5,
        "warning",
        "A connection pool leaks connections.",
        f"{POOL} leaked in the last 15 minutes: 1 of the type response_unclosed.",
    ),
    r.ORPHANED: (
        churn.slots_lost,
        25,
        "warning",
        "Slots of a connection pool are lost until the process restarts.",
        f"{POOL} has lost 1 slots: no request owns them and no request can have them.",
    ),
    r.KEEP_ALIVE_CHURN: (
        churn.eviction,
        58,
        "warning",
        "A connection pool closes good connections that the next requests have to open again.",
        (
            f"{POOL} closed a good connection for 30% of its requests over the last 15 minutes, because of its "
            "keep-alive limit or to make room."
        ),
    ),
    r.CLIENT_PER_REQUEST: (
        churn.client_per_request,
        28,
        "warning",
        "A client is made for nearly every request.",
        f"{POOL} was made anew 1 times for each request of the last 15 minutes: no connection can be reused.",
    ),
    r.STALE_REUSE: (
        churn.stale,
        60,
        "info",
        "Servers close idle connections before the pool does, so that a reuse may fail.",
        (
            f"{POOL} lost 80% of the connections that ended in the last 15 minutes to a server that closed them while "
            "they were idle."
        ),
    ),
}


def text_test(alert: str, form: str) -> dict:
    """Give the promtool test that pins one alert's text."""
    maker, minute, severity, summary, description = TEXTS[alert]
    pools, fires = maker(form)
    (fire,) = [fire for fire in fires if fire.alert == alert]
    every = {"severity": severity, **fire.pool.labels, **fire.more}
    labels = {name: value for name, value in every.items() if value}
    annotations = {
        "summary": summary,
        "description": description,
        "runbook_url": f"{RUNBOOKS}/{alert}.md",
        "dashboard_url": DASHBOARD,
    }
    due = {"exp_labels": labels, "exp_annotations": annotations}
    series = [series for pool in pools for series in pool.series()]
    rule_test = {"eval_time": f"{minute * 60:.0f}s", "alertname": alert, "exp_alerts": [due]}
    return {"name": alert, "interval": "15s", "input_series": series, "alert_rule_test": [rule_test]}
