"""The dashboards as installations take them: the built JSON with a default data source and a narrower selector.

1. One classic JSON with a `datasource` variable serves import, provisioning and sidecar.
2. `__inputs` breaks provisioning: only the form for grafana.com has it.
"""

import json
import re
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from poolscope.alerts import recording
from poolscope.alerts.yaml import dump

FLEET, ONE_POOL = NAMES = ("connection-pool", "one-pool")
VARIABLE = "${datasource}"
INPUT = "${DS_PROMETHEUS}"

_JOB = re.compile(r'job=~?"\$job"')


def built(name: str) -> str:
    """Give a dashboard as it was built."""
    return _file(f"_dashboards/{name}.json", f"dashboards/grafana/{name}.json")


def pages(kind: str, names: Iterable[str]) -> dict[str, str]:
    """Give the pages of alerts (`runbooks`) or of `findings`, each file by its name."""
    return {f"{name}.md": _file(f"_{kind}/{name}.md", f"docs/{kind}/{name}.md") for name in sorted(names)}


def _file(packed: str, committed: str) -> str:
    """Read a file out of the wheel, or of the repository where the package is installed from there."""
    file = resources.files("poolscope").joinpath(packed)
    if file.is_file():
        return file.read_text(encoding="utf-8")
    return (Path(__file__).parents[3] / committed).read_text(encoding="utf-8")


def written(tree: Mapping[str, Any]) -> str:
    """Write a dashboard's JSON."""
    return json.dumps(tree, indent=2, ensure_ascii=False) + "\n"


def classic(datasource: str = "", selector: str = "", *, recorded: bool = False) -> dict[str, str]:
    """Give each dashboard's file by name. recorded: the fleet's one reads what the recording rules made."""
    return {f"{name}.json": written(_narrowed(name, datasource, selector, recorded=recorded)) for name in NAMES}


def _narrowed(name: str, datasource: str, selector: str, *, recorded: bool) -> dict[str, Any]:
    tree: dict[str, Any] = json.loads(built(name))
    if datasource:
        (variable,) = [v for v in tree["templating"]["list"] if v["name"] == "datasource"]
        variable["current"] = {"selected": True, "text": datasource, "value": datasource}
    if selector:
        queries = [target for panel in tree["panels"] for target in panel.get("targets", [])]
        for query in [*queries, *tree["annotations"]["list"]]:
            query["expr"] = _JOB.sub(lambda found: f"{selector}, {found[0]}", query["expr"])
        for variable in tree["templating"]["list"]:
            if variable["type"] == "query":
                variable["query"] = _narrowed_values(variable["query"], selector)
    if recorded and name == FLEET:
        recording.read_by(tree, selector)
    return tree


def _narrowed_values(query: str, selector: str) -> str:
    """Put a selector into `label_values(metric, label)`, which may have matchers already."""
    if "{" in query:
        return query.replace("{", f"{{{selector}, ", 1)
    return re.sub(r"\((\w+),", lambda found: f"({found[1]}{{{selector}}},", query, count=1)


def config_map(datasource: str = "", selector: str = "", *, recorded: bool = False) -> str:
    """Write the ConfigMap that Grafana's sidecar picks up by its label."""
    tree = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "poolscope-dashboards", "labels": {"grafana_dashboard": "1"}},
        "data": classic(datasource, selector, recorded=recorded),
    }
    return dump(tree, "Dashboards of httpx connection pools, for Grafana's sidecar. Written by `poolscope export`.")


def grafana_com(selector: str = "", *, recorded: bool = False) -> dict[str, str]:
    """Give each dashboard as grafana.com wants it: the data source is asked for at import."""
    files = {}
    for name in NAMES:
        tree = _narrowed(name, "", selector, recorded=recorded)
        tree["templating"]["list"] = [v for v in tree["templating"]["list"] if v["name"] != "datasource"]
        source = {"name": "DS_PROMETHEUS", "label": "Prometheus", "description": "", "type": "datasource"}
        head = {
            "__inputs": [source | {"pluginId": "prometheus", "pluginName": "Prometheus"}],
            "__elements": {},
            "__requires": [
                {"type": "grafana", "id": "grafana", "name": "Grafana", "version": "11.0.0"},
                {"type": "datasource", "id": "prometheus", "name": "Prometheus", "version": "1.0.0"},
            ],
        }
        files[f"{name}.json"] = written(head | tree).replace(VARIABLE, INPUT)
    return files
