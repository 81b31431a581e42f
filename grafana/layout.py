"""A dashboard: bands of panels below each other, between its variables and its links."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Final

from grafana_foundation_sdk.builders import dashboard as sdk
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.dashboard import (
    AnnotationContainer,
    Dashboard,
    DashboardCursorSync,
    DashboardLinkType,
    GridPos,
    Panel,
    RowPanel,
    VariableModel,
)

from grafana.annotations import Annotation

TAG: Final = "transcoding"
_WIDTH: Final = 24
_SCHEMA: Final = 39
"""Grafana 10.4's; newer ones bring it up to theirs."""


@dataclass(frozen=True, slots=True)
class Band:
    """Panels side by side, which share the width.

    Attributes:
        height: Of each, in Grafana's units of 38 pixels; 24 of them fill a screen of 1080p.
        panels: From left to right.
        widths: Of each, 24 in all; empty to share evenly.
        heading: What stands above, as a row that can be folded; empty for none.
    """

    height: int
    panels: tuple[Builder[Panel], ...]
    widths: tuple[int, ...] = ()
    heading: str = ""


def external(title: str, url: str) -> sdk.DashboardLink:
    """Return a link that leaves Grafana."""
    return (
        sdk.DashboardLink(title)
        .type(DashboardLinkType.LINK)
        .url(url)
        .icon("external link")
        .target_blank(True)
    )


def assemble(
    uid: str,
    title: str,
    description: str,
    *,
    variables: Iterable[Builder[VariableModel]],
    annotations: Iterable[Annotation],
    bands: Iterable[Band],
    links: Iterable[sdk.DashboardLink] = (),
) -> Dashboard:
    """Return a dashboard that leads to the others, with the time and the variables chosen."""
    siblings = sdk.DashboardLink("Transcoding").type(DashboardLinkType.DASHBOARDS).tags([TAG])
    built = (
        sdk.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags([TAG, "prometheus"])
        .readonly()
        .timezone("browser")
        .time("now-6h", "now")
        .refresh("30s")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .variables(list(variables))
        .links([siblings.include_vars(True).keep_time(True).as_dropdown(False), *links])
        .build()
    )
    built.schema_version = _SCHEMA
    built.panels = list(_placed(bands))
    built.annotations = AnnotationContainer([annotation.query() for annotation in annotations])
    return built


def _placed(bands: Iterable[Band]) -> Iterator[Panel | RowPanel]:
    """Number the panels, and give each its place."""
    numbers = count(1)
    y = 0
    for band in bands:
        if band.heading:
            place = GridPos(h=1, w=_WIDTH, x=0, y=y)
            yield RowPanel(title=band.heading, grid_pos=place, id_val=next(numbers))
            y += 1
        x = 0
        widths = band.widths or (_WIDTH // len(band.panels),) * len(band.panels)
        for builder, width in zip(band.panels, widths, strict=True):
            panel = builder.build()
            panel.id_val = next(numbers)
            panel.grid_pos = GridPos(h=band.height, w=width, x=x, y=y)
            yield panel
            x += width
        y += band.height
