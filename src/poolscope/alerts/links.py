"""Where an alert points: its runbook and its dashboard. An installation changes the bases."""

from dataclasses import dataclass

from poolscope.alerts.promql import POOL

FLEET_UID = "httpx-connection-pool"
ONE_POOL_UID = "httpx-one-pool"


@dataclass(frozen=True, slots=True)
class Links:
    """The base URLs, without a slash at the end."""

    runbooks: str = "https://github.com/poolscope/poolscope/blob/main/docs/runbooks"
    grafana: str = "http://localhost:3000"

    def runbook(self, alert: str) -> str:
        """Give the runbook of an alert."""
        return f"{self.runbooks.rstrip('/')}/{alert}.md"

    def dashboard(self) -> str:
        """Give the dashboard of the one pool that an alert is about, as an annotation's template."""
        variables = {"job": "job", "instance": "instance", "pool": POOL}
        query = "&".join(f"var-{name}={{{{ $labels.{label} | urlquery }}}}" for name, label in variables.items())
        return f"{self.grafana.rstrip('/')}/d/{ONE_POOL_UID}?{query}"
