"""Panels in the house style: each takes a title, a description and what to show; the rest is the same."""

from collections.abc import Mapping
from typing import Final, TypeVar

from grafana_foundation_sdk.builders import common as parts
from grafana_foundation_sdk.builders import dashboard, heatmap, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models.dashboard import (
    DashboardSpecialValueMapOptions,
    DynamicConfigValue,
    FieldColorModeId,
    SpecialValueMap,
    SpecialValueMatch,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMapping,
    ValueMappingResult,
)
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from grafana.colours import IDLE, NEUTRAL, PROVIDERS, QUIET, UNSURE
from grafana.queries import DATASOURCE, Query

NO_EXPORTER: Final = "no exporter"
"""What a panel says that would show something for every exporter."""

Steps = Mapping[float, str]
"""Colours by the value from which on they hold; the first one holds for everything below, too."""

Texts = Mapping[int, tuple[str, str]]
"""What a value stands for, and its colour."""

P = TypeVar("P", stat.Panel, timeseries.Panel, statetimeline.Panel, heatmap.Panel, table.Panel)


def count(
    title: str, description: str, expr: str, *, steps: Steps, empty: str, unit: str = "short"
) -> stat.Panel:
    """Return one big number as of now, on a ground whose colour is seen from across the room."""
    panel = number(title, description, Query(expr, now=True), steps=steps, empty=empty, unit=unit)
    return panel.color_mode(common.BigValueColorMode.BACKGROUND_SOLID)


def number(
    title: str,
    description: str,
    *queries: Query,
    unit: str = "short",
    empty: str,
    steps: Steps | None = None,
    texts: Texts | None = None,
) -> stat.Panel:
    """Return the last value of each series, big."""
    panel = dressed(stat.Panel(), title, description, queries, unit, empty)
    panel = panel.color_scheme(_by_threshold()).thresholds(_thresholds(steps or {0: QUIET}))
    panel = panel.mappings([*([_mapping(texts)] if texts else []), _nothing(empty)])
    return _big(panel, fields="")


def word(title: str, description: str, query: Query, *, label: str, colour: str, empty: str) -> stat.Panel:
    """Return the value of a label of the one series that the query is to answer, big."""
    panel = dressed(stat.Panel(), title, description, (query,), "none", empty, PromQueryFormat.TABLE)
    panel = panel.color_scheme(_by_threshold()).thresholds(_thresholds({0: colour}))
    panel = panel.mappings([_nothing(empty)])
    return _big(panel, fields=f"/^{label}$/")


def lines(
    title: str,
    description: str,
    *queries: Query,
    unit: str,
    empty: str,
    colours: Mapping[str, str] | None = None,
    limits: Steps | None = None,
) -> timeseries.Panel:
    """Return lines over time.

    Args:
        title: Of the panel.
        description: What it shows, and what to make of it.
        queries: What to show.
        unit: Grafana's name of the unit.
        empty: What to say if there is nothing.
        colours: By the name of a series; a series of no such name has the hue of its provider.
        limits: Values at which a line is drawn across, with its colour.
    """
    panel = dressed(timeseries.Panel(), title, description, queries, unit, empty)
    panel = panel.line_width(2).fill_opacity(8).axis_soft_min(0).show_points(common.VisibilityMode.AUTO)
    panel = panel.legend(_legend()).tooltip(_tooltip()).color_scheme(_shades(NEUTRAL))
    for provider, hue in PROVIDERS.items():
        panel = panel.override_by_regexp(f"/^{provider}/", [_colour(hue, FieldColorModeId.SHADES)])
    for name, hue in (colours or {}).items():
        panel = panel.override_by_name(name, [_colour(hue, FieldColorModeId.FIXED)])
    if limits:
        style = parts.GraphThresholdsStyleConfig().mode(common.GraphThresholdsStyleMode.DASHED)
        panel = panel.thresholds(_thresholds({0: "transparent", **limits})).thresholds_style(style)
    return panel


def areas(
    title: str, description: str, *queries: Query, unit: str, empty: str, colours: Mapping[str, str]
) -> timeseries.Panel:
    """Return areas that are stacked upon each other, as steps: what is counted does not glide."""
    panel = lines(title, description, *queries, unit=unit, empty=empty, colours=colours)
    panel = panel.line_interpolation(common.LineInterpolation.STEP_AFTER).line_width(1).fill_opacity(70)
    return panel.stacking(_stacked()).show_points(common.VisibilityMode.NEVER)


def bars(title: str, description: str, query: Query, *, unit: str, empty: str, hue: str) -> timeseries.Panel:
    """Return stacked bars in shades of one hue, and in the legend the sums of the time shown."""
    panel = dressed(timeseries.Panel(), title, description, (query,), unit, empty)
    panel = panel.draw_style(common.GraphDrawStyle.BARS).line_width(0).fill_opacity(90).axis_soft_min(0)
    panel = panel.stacking(_stacked()).tooltip(_tooltip()).color_scheme(_shades(hue)).interval("5m")
    legend = _legend().placement(common.LegendPlacement.RIGHT).display_mode(common.LegendDisplayMode.TABLE)
    return panel.legend(legend.calcs(["sum"]).sort_by("Total").sort_desc(True))


def timeline(title: str, description: str, query: Query, *, empty: str, texts: Texts) -> statetimeline.Panel:
    """Return a row for each series, filled with the texts and colours of what its values stood for."""
    panel = dressed(statetimeline.Panel(), title, description, (query,), "none", empty)
    panel = panel.mappings([_mapping(texts)]).color_scheme(_by_threshold())
    panel = (
        panel.show_value(common.VisibilityMode.AUTO)
        .merge_values(True)
        .row_height(0.85)
        .fill_opacity(90)
        .line_width(0)
    )
    return panel.legend(_legend()).tooltip(_tooltip())


def heat(title: str, description: str, query: Query, *, unit: str, empty: str) -> heatmap.Panel:
    """Return the buckets of a histogram over time; the query is to sum its increase by `le`."""
    panel = dressed(heatmap.Panel(), title, description, (query,), unit, empty, PromQueryFormat.HEATMAP)
    colour = (
        heatmap.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Blues").steps(32).exponent(0.5)
    )
    panel = panel.calculate(False).color(colour).y_axis(heatmap.YAxisConfig().unit(unit)).cell_gap(1)
    return panel.filter_values(heatmap.FilterValueRange().le(1e-9)).show_legend().show_y_histogram()


def dashed(panel: timeseries.Panel, pattern: str) -> timeseries.Panel:
    """Draw the series whose names match as dashes: what the others are compared with."""
    style = DynamicConfigValue("custom.lineStyle", {"fill": "dash", "dash": [8, 8]})
    return panel.override_by_regexp(pattern, [style, DynamicConfigValue("custom.fillOpacity", 0)])


def in_front(panel: timeseries.Panel, name: str) -> timeseries.Panel:
    """Draw a series as a thick line before the stacked others, not on top of them."""
    stacking = {"group": "A", "mode": common.StackingMode.NONE}
    properties = {"custom.stacking": stacking, "custom.fillOpacity": 0, "custom.lineWidth": 3}
    return panel.override_by_name(name, [DynamicConfigValue(*item) for item in properties.items()])


def dressed(
    panel: P,
    title: str,
    description: str,
    queries: tuple[Query, ...],
    unit: str,
    empty: str,
    form: PromQueryFormat = PromQueryFormat.TIME_SERIES,
) -> P:
    """Give a panel what every panel has, and return it."""
    panel = panel.title(title).description(description).datasource(DATASOURCE).unit(unit).no_value(empty)
    if unit == "short":
        panel = panel.decimals(0)
    return panel.targets([query.target(number, form) for number, query in enumerate(queries)])


def _big(panel: stat.Panel, fields: str) -> stat.Panel:
    panel = panel.graph_mode(common.BigValueGraphMode.NONE).text_mode(common.BigValueTextMode.AUTO)
    panel = panel.color_mode(common.BigValueColorMode.VALUE).justify_mode(common.BigValueJustifyMode.CENTER)
    return panel.reduce_options(parts.ReduceDataOptions().calcs(["lastNotNull"]).fields(fields).values(False))


def _nothing(empty: str) -> ValueMapping:
    """Say that there is nothing, in a colour of its own: Grafana would give it that of a good value."""
    colour = UNSURE if empty == NO_EXPORTER else IDLE
    result = ValueMappingResult(text=empty, color=colour)
    return SpecialValueMap(DashboardSpecialValueMapOptions(SpecialValueMatch.NULL_AND_NAN, result))


def _mapping(texts: Texts) -> ValueMapping:
    return ValueMap(
        {
            str(value): ValueMappingResult(text=text, color=colour, index=index)
            for index, (value, (text, colour)) in enumerate(texts.items())
        }
    )


def _thresholds(steps: Steps) -> dashboard.ThresholdsConfig:
    found = [Threshold(value, colour) for value, colour in steps.items()]
    found[0].value = None
    return dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(found)


def _by_threshold() -> dashboard.FieldColor:
    return dashboard.FieldColor().mode(FieldColorModeId.THRESHOLDS)


def _shades(hue: str) -> dashboard.FieldColor:
    return dashboard.FieldColor().mode(FieldColorModeId.SHADES).fixed_color(hue)


def _colour(hue: str, mode: FieldColorModeId) -> DynamicConfigValue:
    return DynamicConfigValue("color", {"mode": mode, "fixedColor": hue})


def _stacked() -> parts.StackingConfig:
    return parts.StackingConfig().mode(common.StackingMode.NORMAL).group("A")


def _legend() -> parts.VizLegendOptions:
    return (
        parts.VizLegendOptions()
        .display_mode(common.LegendDisplayMode.LIST)
        .placement(common.LegendPlacement.BOTTOM)
        .show_legend(True)
    )


def _tooltip() -> parts.VizTooltipOptions:
    return parts.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI).sort(common.SortOrder.DESCENDING)
