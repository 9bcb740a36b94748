"""Panels as functions, so that every one has a title, a text, a unit, a text for no data, and the data source variable.

Colours are severities: orange is a warning's line, red a critical one's or the limit itself.
"""

from dataclasses import dataclass

from grafana_foundation_sdk.builders import (
    common,
    dashboard,
    heatmap,
    prometheus,
    stat,
    statetimeline,
    table,
    timeseries,
)
from grafana_foundation_sdk.models import common as kind
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode, HeatmapColorScale

from poolscope import _contract as c

DATASOURCE = kind.DataSourceRef(type_val="prometheus", uid="${datasource}")
GREEN, ORANGE, RED, BLUE, PALE = "green", "orange", "red", "#5794F2", "#8AB8FF"
NOTHING = "no data"


@dataclass(frozen=True, slots=True)
class Query:
    """One query and how its series are named."""

    expr: str
    legend: str = ""
    instant: bool = False
    heatmap: bool = False


def target(query: Query, ref: str) -> prometheus.Dataquery:
    made = prometheus.Dataquery().expr(query.expr).ref_id(ref).datasource(DATASOURCE)
    made = made.instant() if query.instant else made.range()
    if query.instant:
        made = made.format(prometheus.prometheus.PromQueryFormat.TABLE)
    if query.heatmap:
        made = made.format(prometheus.prometheus.PromQueryFormat.HEATMAP)
    return made.legend_format(query.legend or "__auto")


def steps(*lines: tuple[float, str]) -> dashboard.ThresholdsConfig:
    """Green below the first line."""
    colours = [model.Threshold(value=None, color=GREEN), *(model.Threshold(value=v, color=c) for v, c in lines)]
    return dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(colours)


def base(panel, title: str, description: str, unit: str, queries, nothing: str = NOTHING):
    panel = panel.title(title).description(description).unit(unit).datasource(DATASOURCE).no_value(nothing)
    for i, query in enumerate(queries):
        panel = panel.with_target(target(query, chr(ord("A") + i)))
    return panel


def number(title, description, unit, query, *lines, decimals=None):
    """A coloured stat with its history behind it."""
    panel = base(stat.Panel(), title, description, unit, [query]).thresholds(steps(*lines))
    if decimals is not None:
        panel = panel.decimals(decimals)
    return (
        panel.color_mode(kind.BigValueColorMode.BACKGROUND)
        .graph_mode(kind.BigValueGraphMode.AREA)
        .text_mode(kind.BigValueTextMode.VALUE)
        .justify_mode(kind.BigValueJustifyMode.CENTER)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
        .color_scheme(dashboard.FieldColor().mode(model.FieldColorModeId.THRESHOLDS))
        .min(0)
    )


def strips(title, description, unit, query, *lines):
    """One strip per series, coloured by threshold."""
    return (
        base(statetimeline.Panel(), title, description, unit, [query])
        .thresholds(steps(*lines))
        .color_scheme(dashboard.FieldColor().mode(model.FieldColorModeId.THRESHOLDS))
        .show_value(kind.VisibilityMode.NEVER)
        .merge_values(True)
        .row_height(0.85)
        .fill_opacity(80)
        .line_width(0)
        .legend(
            common.VizLegendOptions()
            .show_legend(False)
            .display_mode(kind.LegendDisplayMode.LIST)
            .placement(kind.LegendPlacement.BOTTOM)
        )
        .min(0)
        .max(1)
    )


def graph(
    title,
    description,
    unit,
    *queries,
    line=None,
    lines=(),
    stack=False,
    log=False,
    side=False,
    fill=None,
    top=None,
    nothing=NOTHING,
):
    """Curves. `line`: a dashed threshold. `stack`, `log`: the y axis. `side`: a legend with values beside it."""
    panel = base(timeseries.Panel(), title, description, unit, queries, nothing).min(0)
    dashes = [*lines, *([line] if line else [])]
    if dashes:
        panel = panel.thresholds(steps(*dashes)).thresholds_style(
            common.GraphThresholdsStyleConfig().mode(kind.GraphThresholdsStyleMode.DASHED)
        )
    if log:
        panel = panel.min(0.001).scale_distribution(
            common.ScaleDistributionConfig().type(kind.ScaleDistribution.LOG).log(10)
        )
    if top is not None:
        panel = panel.axis_soft_max(top)
    stacking = common.StackingConfig().mode(kind.StackingMode.NORMAL if stack else kind.StackingMode.NONE)
    return (
        panel.draw_style(kind.GraphDrawStyle.LINE)
        .color_scheme(dashboard.FieldColor().mode(model.FieldColorModeId.PALETTE_CLASSIC))
        .line_width(1)
        .fill_opacity((45 if stack else 0) if fill is None else fill)
        .show_points(kind.VisibilityMode.NEVER)
        .line_interpolation(kind.LineInterpolation.LINEAR)
        .span_nulls(False)
        .stacking(stacking.group("A"))
        .legend(legend(side))
        .tooltip(common.VizTooltipOptions().mode(kind.TooltipDisplayMode.MULTI).sort(kind.SortOrder.DESCENDING))
    )


def legend(side):
    """Name the curves below, or beside them with their last values."""
    made = common.VizLegendOptions().show_legend(True)
    if not side:
        return made.display_mode(kind.LegendDisplayMode.LIST).placement(kind.LegendPlacement.BOTTOM)
    return made.display_mode(kind.LegendDisplayMode.TABLE).placement(kind.LegendPlacement.RIGHT).calcs(["lastNotNull"])


def dashed(panel, name, colour, *more):
    """Draw one series as a dashed line of a fixed colour, over whatever is stacked."""
    return panel.override_by_name(
        name,
        [
            model.DynamicConfigValue("color", {"mode": "fixed", "fixedColor": colour}),
            model.DynamicConfigValue("custom.lineStyle", {"fill": "dash", "dash": [10, 8]}),
            model.DynamicConfigValue("custom.lineWidth", 2),
            model.DynamicConfigValue("custom.fillOpacity", 0),
            model.DynamicConfigValue("custom.stacking", {"mode": "none", "group": "A"}),
            *more,
        ],
    )


def a_second(panel, pattern):
    """Draw what happens so many times a second on an axis of its own, beside one of seconds."""
    return panel.override_by_regexp(
        pattern,
        [
            model.DynamicConfigValue("unit", "ops"),
            model.DynamicConfigValue("min", 0),
            model.DynamicConfigValue("custom.axisPlacement", "right"),
            model.DynamicConfigValue("custom.scaleDistribution", {"type": "linear"}),
        ],
    )


def coloured(panel, **colours):
    """Give series fixed colours, by name (`_` stands for a blank)."""
    for name, colour in colours.items():
        value = model.DynamicConfigValue("color", {"mode": "fixed", "fixedColor": colour})
        panel = panel.override_by_name(name.replace("_", " "), [value])
    return panel


def heat(title, description, unit, query):
    """A histogram over time."""
    panel = base(heatmap.Panel(), title, description, unit, [query]).calculate(False).cell_gap(1)
    colour = heatmap.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Oranges").steps(64)
    colour = colour.scale(HeatmapColorScale.EXPONENTIAL).exponent(0.5).fill("dark-orange").reverse(False)
    return panel.color(colour).y_axis(heatmap.YAxisConfig().axis_placement(kind.AxisPlacement.LEFT).unit(unit))


UNLIMITED = {
    "type": "range",
    "options": {"from": c.LEAST_UNLIMITED, "to": None, "result": {"text": "unlimited", "index": 0}},
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table: a query, its head, its unit, its width and the lines that colour it."""

    head: str
    expr: str
    unit: str
    width: int = 110
    lines: tuple[tuple[float, str], ...] = ()
    gauge: bool = False
    decimals: int | None = None
    unlimited: bool = False


def rows(title, description, labels: dict[str, str], columns: list[Column], links: dict[str, tuple[str, str]]):
    """A table of one row per label set, most of the first column first. `links`: column -> (title, url)."""
    queries = [Query(column.expr, instant=True) for column in columns]
    panel = base(table.Panel(), title, description, "short", queries).filterable(True)
    panel = panel.cell_options(kind.TableAutoCellOptions()).align(kind.FieldTextAlignment.AUTO)
    names = {f"Value #{chr(ord('A') + i)}": column.head for i, column in enumerate(columns)}
    order = {name: i for i, name in enumerate([*labels, *names])}
    options = {"excludeByName": {"Time": True}, "indexByName": order, "renameByName": labels | names}
    panel = panel.with_transformation(model.DataTransformerConfig(id_val="merge", options={}))
    panel = panel.with_transformation(model.DataTransformerConfig(id_val="organize", options=options))
    panel = panel.sort_by([common.TableSortByFieldState().display_name(columns[0].head).desc(True)])
    for column in columns:
        panel = panel.override_by_name(column.head, list(properties(column)))
    for name, (head, url) in links.items():
        link = {"title": head, "url": url, "targetBlank": False}
        panel = panel.override_by_name(name, [model.DynamicConfigValue("links", [link])])
    return panel


def properties(column: Column):
    yield model.DynamicConfigValue("unit", column.unit)
    yield model.DynamicConfigValue("custom.width", column.width)
    if column.decimals is not None:
        yield model.DynamicConfigValue("decimals", column.decimals)
    if column.lines:
        lines = [{"value": None, "color": GREEN}, *({"value": v, "color": c} for v, c in column.lines)]
        yield model.DynamicConfigValue("thresholds", {"mode": "absolute", "steps": lines})
        yield model.DynamicConfigValue("color", {"mode": "thresholds"})
        cell = {"type": "gauge", "mode": "basic"} if column.gauge else {"type": "color-text"}
        yield model.DynamicConfigValue("custom.cellOptions", cell)
    if column.gauge:
        yield model.DynamicConfigValue("min", 0)
        yield model.DynamicConfigValue("max", 1)
    if column.unlimited:
        yield model.DynamicConfigValue("mappings", [UNLIMITED])
