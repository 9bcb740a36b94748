"""`poolscope export`: write the dashboards and alert rules in the form that an installation takes.

Everything comes out of the installed package; nothing is fetched and nothing else is needed.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated

import typer

from poolscope.alerts import boards, forms, recording
from poolscope.alerts.links import Links
from poolscope.alerts.routing import alertmanager
from poolscope.alerts.rules import Rule, rules
from poolscope.alerts.settings import TIMES, Settings
from poolscope.cli._errors import CommandError
from poolscope.cli._options import base_url
from poolscope.cli._selector import checked_selector
from poolscope.diagnosis._findings import RULES

_UID = re.compile(r"[A-Za-z0-9_-]{1,40}")


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked for."""

    settings: Settings
    selector: str
    links: Links
    datasource: str
    recorded: bool


@dataclass(frozen=True, slots=True)
class Kind:
    """One form: what it is for, and its files by name."""

    text: str
    files: Callable[[Order], dict[str, str]]
    options: frozenset[str]


def _rules(order: Order) -> list[Rule]:
    return rules(order.settings, order.selector, order.links)


_RULES = frozenset({"--selector", "--set", "--runbooks", "--grafana"})
_BOARDS = frozenset({"--selector", "--recorded"})
KINDS = {
    "prometheus": Kind(
        "a rule file for Prometheus's rule_files",
        lambda o: {"poolscope.rules.yml": forms.prometheus(_rules(o), o.settings)},
        _RULES,
    ),
    "prometheusrule": Kind(
        "a PrometheusRule for the Prometheus operator",
        lambda o: {"prometheus-rule.yaml": forms.prometheus_rule(_rules(o), o.settings)},
        _RULES,
    ),
    "recording": Kind(
        "recording rules for large fleets, which grafana --recorded reads",
        lambda o: {"poolscope.recording.rules.yml": recording.prometheus(o.selector)},
        frozenset({"--selector"}),
    ),
    "alertmanager": Kind(
        "an example configuration for Alertmanager", lambda _: {"alertmanager.yml": alertmanager()}, frozenset()
    ),
    "grafana": Kind(
        "the dashboards, for import or file provisioning",
        lambda o: boards.classic(o.datasource, o.selector, recorded=o.recorded),
        _BOARDS | {"--datasource"},
    ),
    "configmap": Kind(
        "the dashboards as a ConfigMap for Grafana's sidecar",
        lambda o: {"dashboards-configmap.yaml": boards.config_map(o.datasource, o.selector, recorded=o.recorded)},
        _BOARDS | {"--datasource"},
    ),
    "grafana-alerts": Kind(
        "the alerts for Grafana to run itself, as file provisioning",
        lambda o: {"poolscope-alerts.yaml": forms.grafana_alerts(_rules(o), o.settings, o.datasource or "prometheus")},
        _RULES | {"--datasource"},
    ),
    "grafana-com": Kind(
        "the dashboards as grafana.com wants them",
        lambda o: boards.grafana_com(o.selector, recorded=o.recorded),
        _BOARDS,
    ),
    "runbooks": Kind(
        "a runbook per alert, to put where --runbooks then points",
        lambda _: boards.pages("runbooks", (rule.name for rule in rules())),
        frozenset(),
    ),
    "findings": Kind(
        "a page per finding, to put where doctor's --findings then points",
        lambda _: boards.pages("findings", (rule.code for rule in RULES)),
        frozenset(),
    ),
}


def export(
    kind: Annotated[str, typer.Argument(help="What to write; --list says what there is.")] = "",
    directory: Annotated[str, typer.Argument(metavar="[DIR]", help="Where to; - prints a single file.")] = ".",
    *,
    listed: Annotated[bool, typer.Option("--list", help="List the kinds and the settings.")] = False,
    selector: Annotated[str, typer.Option(help="""Matchers for every selector: 'team="payments"'.""")] = "",
    changed: Annotated[list[str] | None, typer.Option("--set", help="A setting, NAME=NUMBER; see --list.")] = None,
    runbooks: Annotated[str, typer.Option(help="Where the runbooks are: a base URL.")] = "",
    grafana: Annotated[str, typer.Option(help="Where Grafana is: a base URL, for the alerts' links.")] = "",
    datasource: Annotated[str, typer.Option(help="The uid of the data source that is the default.")] = "",
    recorded: Annotated[bool, typer.Option("--recorded", help="Read what the recording rules made.")] = False,
) -> int:
    """Write dashboards and alert rules: poolscope export KIND [DIR]."""
    if listed:
        _list()
        return 0
    if kind not in KINDS:
        raise CommandError(f"{kind!r} is no kind to export; there are {', '.join(KINDS)}" if kind else _ASK)
    given = {
        "--selector": selector,
        "--set": changed,
        "--runbooks": runbooks,
        "--grafana": grafana,
        "--datasource": datasource,
        "--recorded": recorded,
    }
    for option, value in given.items():
        if value and option not in KINDS[kind].options:
            raise CommandError(f"{option} changes nothing in {kind}")
    order = Order(
        _settings(changed or []), checked_selector(selector), _links(runbooks, grafana), _uid(datasource), recorded
    )
    _write(KINDS[kind].files(order), directory)
    return 0


_ASK = f"export needs a kind: {', '.join(KINDS)}"


def _list() -> None:
    for name, kind in KINDS.items():
        typer.echo(f"{name:15} {kind.text}")
    typer.echo("\nSettings for --set, with their defaults (times in seconds):")
    for field in fields(Settings):
        typer.echo(f"  {field.name}={field.default:g}")


def _settings(changed: list[str]) -> Settings:
    """Change all at once: a step may need the window that is given with it."""
    values, known = {}, {field.name for field in fields(Settings)}
    for pair in changed:
        name, _, text = pair.partition("=")
        if name not in known:
            raise CommandError(f"--set: there is no setting {name!r}; export --list names them")
        try:
            values[name] = float(text)
        except ValueError:
            raise CommandError(f"--set {name}: {text!r} is no number") from None
        if name.endswith(TIMES) and values[name] < 1:
            raise CommandError(f"--set {name}: {text} s is less than a second")
    try:
        return replace(Settings(), **values)
    except ValueError as error:
        raise CommandError(f"--set: {error}") from None


def _links(runbooks: str, grafana: str) -> Links:
    default = Links()
    return Links(base_url("--runbooks", runbooks, default.runbooks), base_url("--grafana", grafana, default.grafana))


def _uid(text: str) -> str:
    if text and not _UID.fullmatch(text):
        raise CommandError(f"--datasource: {text!r} is no uid (1 to 40 letters, digits, - and _)")
    return text


def _write(files: dict[str, str], directory: str) -> None:
    if directory == "-":
        if len(files) > 1:
            raise CommandError(f"- prints a single file, and these are {len(files)}: name a directory")
        typer.echo("".join(files.values()), nl=False)
        return
    where = Path(directory)
    try:
        where.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (where / name).write_text(text, encoding="utf-8")
            typer.echo(str(where / name))
    except OSError as error:
        raise CommandError(f"cannot write {where}: {error.strerror or error}", 1) from None
