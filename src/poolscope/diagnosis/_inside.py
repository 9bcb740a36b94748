"""Evidence from inside the process: what a pool has counted since its first connection, and what no metric says."""

from collections.abc import Iterable

from poolscope._observer import Observer
from poolscope._reading import Reading
from poolscope._seen import ENDED
from poolscope.diagnosis._evidence import Evidence
from poolscope.diagnosis._findings import Finding, findings
from poolscope.diagnosis._source import ignored_in


def diagnose(observer: Observer, ignored: Iterable[str] = ()) -> list[Finding]:
    """Judge one pool. ignored: what its client was given and ignores, as far as the client shows it."""
    seen = observer.pool.seen
    evidence = Evidence(
        observer.name,
        Reading(),
        observer.read(),
        None if seen.since is None else observer.clock() - seen.since,
        seen,
        observer.snapshot(),
        _earlier(observer),
        (*ignored_in(seen.file), *ignored),
    )
    return findings(evidence)


def _earlier(observer: Observer) -> Reading:
    total = Reading()
    for other in list(ENDED):
        if other.name == observer.name and other is not observer:
            total.add(other.read())
    return total
