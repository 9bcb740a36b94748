"""Places panels in reading order on Grafana's grid of 24 columns, and gives each an id that a new neighbour keeps."""

import zlib

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models import dashboard as model

from poolscope.alerts.rules import rules

from .parts import DATASOURCE, ORANGE
from .queries import POOL, TARGET, ours

TAGS = ["httpx", "connection-pool"]
COLUMNS = 24
ANYTHING = {"instance": ".*"}
"""What "All" stands for, where it is not `.+`: OpenTelemetry names an instance only where `service.instance.id` is set."""


class Page:
    """A dashboard that is filled from top to bottom: `row` begins a new section, `add` places panels side by side."""

    def __init__(self, uid: str, title: str, description: str, *, many: bool = True) -> None:
        """Begin a page. many: more than one value can be chosen for each variable."""
        self.many = many
        self.built = (
            dashboard.Dashboard(title)
            .uid(uid)
            .description(description)
            .tags(TAGS)
            .readonly()
            .time("now-1h", "now")
            .refresh("30s")
            .timezone("browser")
            .tooltip(model.DashboardCursorSync.CROSSHAIR)
            .annotation(alerts())
            .annotation(starts())
            .with_variable(source())
        )
        self.y = 0

    def variable(self, name: str, label: str, query: str) -> None:
        made = dashboard.QueryVariable(name).label(label).query(query).datasource(DATASOURCE).multi(self.many)
        made = made.refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED).sort(model.VariableSort.ALPHABETICAL_ASC)
        if self.many:
            every = model.VariableOption(selected=True, text="All", value="$__all")
            made = made.include_all(True).all_value(ANYTHING.get(name, ".+")).current(every)
        self.built = self.built.with_variable(made)

    def link(self, title: str, url: str) -> None:
        made = dashboard.DashboardLink(title).type(model.DashboardLinkType.LINK).url(url).keep_time(True)
        self.built = self.built.link(made.include_vars(False).target_blank(False).icon("dashboard"))

    def row(self, title: str) -> None:
        place = model.GridPos(x=0, y=self.y, w=COLUMNS, h=1)
        made = dashboard.Row(title).id(number(title)).grid_pos(place)
        self.built = self.built.with_row(made)
        self.y += 1

    def add(self, height: int, *panels: object, widths: tuple[int, ...] = ()) -> None:
        widths = widths or (COLUMNS // len(panels),) * len(panels)
        x = 0
        for panel, width in zip(panels, widths, strict=True):
            title = panel.build().title
            place = model.GridPos(x=x, y=self.y, w=width, h=height)
            self.built = self.built.with_panel(panel.id(number(title)).grid_pos(place))
            x += width
        self.y += height


def number(title: str) -> int:
    """Give a panel's id: it depends on its title alone, so that links to it live on."""
    return zlib.crc32(title.encode()) % 100_000


def source() -> dashboard.DatasourceVariable:
    current = model.VariableOption(selected=True, text="default", value="default")
    return dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus").current(current)


def alerts() -> dashboard.AnnotationQuery:
    names = "|".join(rule.name for rule in rules())
    return note(
        "Firing alerts", ORANGE, f'ALERTS{{{TARGET}, {POOL}=~"$pool", alertstate="firing", alertname=~"{names}"}}'
    )


def starts() -> dashboard.AnnotationQuery:
    """Give the moments in milliseconds: where points are far apart, a question for the last minute misses most."""
    return note("Process starts", "blue", ours(f"process_start_time_seconds{{{TARGET}}} * 1000 > $__from"))


def note(name: str, colour: str, expr: str) -> dashboard.AnnotationQuery:
    return dashboard.AnnotationQuery().name(name).datasource(DATASOURCE).enable(True).icon_color(colour).expr(expr)


SAYING = {
    "Firing alerts": {"titleFormat": f"{{{{alertname}}}}: {{{{{POOL}}}}} on {{{{instance}}}}"},
    "Process starts": {"titleFormat": "{{instance}} started", "useValueForTime": True},
}
"""What an annotation says, and whether its values are moments: keys of the data source's that the builder lacks."""
