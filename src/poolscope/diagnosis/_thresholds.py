"""Where a finding begins. Every number stands here, with its reason; where an alert draws the same line, it is its."""

from poolscope.alerts.settings import Settings

_alerts = Settings()

FEWEST_REQUESTS = 20
"""Below so many a share of requests says nothing."""
MANY_REQUESTS = 200
"""So many have to come before "never needed" means anything."""
FEWEST_CLOSES = _alerts.stale_count
"""Fewer closes of a kind are an accident: a restart, a reload, one bad minute."""

ROUNDS = 10
"""A burst has passed through a pool in fewer uses of each slot."""
BUSY_SHARE = _alerts.utilization_ratio
"""Queues grow steeply above it; what is advised stays below it."""
WAIT_SECONDS = 0.01
"""A shorter wait is the scheduler's."""
WAITING_SHARE = 0.1
"""One request in ten waits, and waiting is a tenth of what requests do."""

DEFAULT_LIMIT = 100
"""httpx's own. Who has it did not choose it, and a limit that nobody chose is no mistake in a number."""
IDLE_CAPACITY_FACTOR = 10
"""Ten times the most that was ever open leaves room for any burst that was seen."""
LONGEST_WAIT_SECONDS = 30.0
"""Callers, load balancers and browsers have given up by then."""
PATIENCE_SECONDS = 1.0
"""A caller who gives up after more than that was waiting for the connection, not racing two requests."""
PATIENCE_FACTOR = 2.0
"""A pool timeout of twice the time that the answer itself is given is out of proportion."""
TIMEOUT_COUNT, TIMEOUT_SHARE = _alerts.timeout_count, _alerts.timeout_ratio

CHURN_SHARE = _alerts.churn_ratio
"""One request in five pays for a connection that the pool itself threw away."""
STALE_SHARE = _alerts.stale_ratio
RESTART_FACTOR = 3
"""A server that restarts closes each open connection once; three times as many closes are its habit."""
OLD_SECONDS = 300.0
"""DNS records that are meant to move live for a minute or so; five minutes late is an outage after a fail-over."""

POOL_COUNT, POOL_SHARE = _alerts.client_per_request_count, _alerts.client_per_request_ratio
UNREAD_SHARE = 0.1
"""One request in ten throws its connection away by not reading the answer."""
UNREAD_SECONDS = 30.0
"""A response that came and that nobody has begun to read for so long was forgotten."""

HOLDER_SHARE = 0.5
"""An origin that holds half of the slots on average decides how long the others wait."""
HOLDER_FACTOR = 5.0
"""It is slower by so much that sharing a queue with it is what makes the others wait."""
STARVED_SHARE = 0.3
"""The others spend so much of their time in the queue."""

STREAM_WAIT_SECONDS = 0.1
"""A new connection's settings take a round trip, which is less; beyond it there is no free stream."""
LATE_COUNT, LATE_SHARE = 3, 0.5
"""Half of the tasks that were given a slot ran on late: a start-up that blocks the loop once is not enough."""
