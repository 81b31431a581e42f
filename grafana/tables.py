"""Tables: a row for each task or process, a column for each label and each number that matters."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from grafana_foundation_sdk.builders import common as parts
from grafana_foundation_sdk.builders import table as sdk
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models.dashboard import (
    DataTransformerConfig,
    DynamicConfigValue,
    Threshold,
    ThresholdsConfig,
    ThresholdsMode,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from grafana.panels import dressed
from grafana.queries import Query

_ALWAYS_HIDDEN: Final = ("Time", "__name__", "job", "instance")


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Attributes:
        source: A label, or `A`, `B`, … for the value of the first query, the second, ….
        title: Its heading.
        unit: Grafana's name of the unit.
        width: In pixels; 0 shares what is left.
        look: Further properties of the field, by Grafana's names.
    """

    source: str
    title: str
    unit: str = ""
    width: int = 0
    look: Mapping[str, object] = field(default_factory=dict)

    def properties(self) -> list[DynamicConfigValue]:
        """Return how it differs from the other columns."""
        found: dict[str, object] = dict(self.look)
        if self.unit:
            found["unit"] = self.unit
        if self.width:
            found["custom.width"] = self.width
        return [DynamicConfigValue(name, value) for name, value in found.items()]


def link(title: str, url: str) -> dict[str, object]:
    """Return the look of a column whose cells lead somewhere; the URL can use `${__data.fields.…}`."""
    return {"links": [{"title": title, "url": url}]}


def bar(colour: str) -> dict[str, object]:
    """Return the look of a column of ratios that are drawn as bars from 0 to 1."""
    steps = ThresholdsConfig(mode=ThresholdsMode.ABSOLUTE, steps=[Threshold(None, colour)])
    cell = common.TableBarGaugeCellOptions(
        mode=common.BarGaugeDisplayMode.BASIC, value_display_mode=common.BarGaugeValueMode.TEXT
    )
    return {"min": 0, "max": 1, "thresholds": steps, "custom.cellOptions": cell}


def table(
    title: str,
    description: str,
    *queries: Query,
    columns: tuple[Column, ...],
    empty: str,
    order: str = "",
    descending: bool = False,
    hidden: tuple[str, ...] = (),
) -> sdk.Panel:
    """Return a table of what the queries answer, their rows joined where the labels are the same.

    Args:
        title: Of the panel.
        description: What it shows, and what to make of it.
        queries: What to show.
        columns: In their order. A label that is no column and not hidden comes behind them.
        empty: What to say if there is no row.
        order: Heading of the column by which the rows are sorted.
        descending: Whether the greatest comes first.
        hidden: Labels and values that are not shown, beside those of the target.
    """
    panel = dressed(sdk.Panel(), title, description, queries, "none", empty, PromQueryFormat.TABLE)
    panel = panel.cell_height(common.TableCellHeight.SM)
    names = [_field(column.source, len(queries)) for column in columns]
    unseen = (*_ALWAYS_HIDDEN, *(_field(source, len(queries)) for source in hidden))
    organize = {
        "excludeByName": {name: True for name in unseen if name not in names},
        "indexByName": {name: index for index, name in enumerate(names)},
        "renameByName": {name: column.title for name, column in zip(names, columns, strict=True)},
    }
    if len(queries) > 1:
        panel = panel.with_transformation(DataTransformerConfig("merge", options={}))
    panel = panel.with_transformation(DataTransformerConfig("organize", options=organize))
    for column in columns:
        if properties := column.properties():
            panel = panel.override_by_name(column.title, properties)
    if order:
        panel = panel.sort_by([parts.TableSortByFieldState().display_name(order).desc(descending)])
    return panel


def _field(source: str, queries: int) -> str:
    """Return Grafana's name of the field: the value of a query bears its letter only if there are several."""
    if len(source) > 1:
        return source
    return "Value" if queries == 1 else f"Value #{source}"
