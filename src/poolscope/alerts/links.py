"""Where an alert points, its runbook and its dashboard, and where a finding does, its page.

The defaults name no host, because none is known here: a page's path in the repository, which exists, and the
dashboard's path in whatever Grafana it was loaded into. An installation gives the bases.
"""

from dataclasses import dataclass

from poolscope.alerts.promql import POOL

FLEET_UID = "httpx-connection-pool"
ONE_POOL_UID = "httpx-one-pool"


@dataclass(frozen=True, slots=True)
class Links:
    """What goes before a page's name and a dashboard's path; a slash at the end may be there or not."""

    runbooks: str = "docs/runbooks"
    grafana: str = ""
    findings: str = "docs/findings"

    def runbook(self, alert: str) -> str:
        """Give the runbook of an alert."""
        return f"{self.runbooks.rstrip('/')}/{alert}.md"

    def finding(self, code: str) -> str:
        """Give the page of a finding."""
        return f"{self.findings.rstrip('/')}/{code}.md"

    def dashboard(self) -> str:
        """Give the dashboard of the one pool that an alert is about, as an annotation's template."""
        variables = {"job": "job", "instance": "instance", "pool": POOL}
        query = "&".join(f"var-{name}={{{{ $labels.{label} | urlquery }}}}" for name, label in variables.items())
        return f"{self.grafana.rstrip('/')}/d/{ONE_POOL_UID}?{query}"
