"""What is marked on every graph: when tasks failed, and on demand when alerts fired."""

from dataclasses import dataclass
from typing import Final

from grafana_foundation_sdk.models.dashboard import AnnotationQuery

from grafana.colours import BAD, STALLED
from grafana.queries import DATASOURCE, expand


class _PrometheusAnnotation(AnnotationQuery):
    """An annotation with the options of Prometheus' data source, which the SDK leaves out."""

    def __init__(self, query: AnnotationQuery, title: str, text: str, tags: str, dated: bool) -> None:
        super().__init__(**vars(query))
        self._options: dict[str, object] = {
            "titleFormat": title,
            "textFormat": text,
            "tagKeys": tags,
            "useValueForTime": dated,
        }

    def to_json(self) -> dict[str, object]:
        """Return it as Grafana keeps it."""
        return super().to_json() | self._options


@dataclass(frozen=True, slots=True)
class Annotation:
    """A mark on the graphs.

    Attributes:
        name: What the switch above the dashboard says.
        expr: PromQL, with `@…` for the matchers.
        title: Of one mark, with `{{label}}`.
        text: The rest of it, with `{{label}}`.
        tags: Labels whose values are shown as tags, separated by commas.
        colour: Of the marks.
        dated: Whether the value is the mark's date in milliseconds; else marks stand where it is above 0.
        shown: Whether the switch is on at first.
    """

    name: str
    expr: str
    title: str
    text: str
    tags: str
    colour: str
    dated: bool = False
    shown: bool = True

    def query(self) -> AnnotationQuery:
        """Return it for Grafana."""
        query = AnnotationQuery(
            name=self.name,
            datasource=DATASOURCE,
            enable=self.shown,
            icon_color=self.colour,
            expr=expand(self.expr),
        )
        return _PrometheusAnnotation(query, self.title, self.text, self.tags, self.dated)


def failures_of(matchers: str) -> Annotation:
    """Return the marks of tasks that failed, each at the moment at which it did.

    They are drawn from the series of the failed tasks, not from the counter: those name the task, and tell of
    what failed while the exporter or Prometheus was down, too. Such a series is there until the retention is
    over; the subquery looks at every quarter of a minute, so that none falls between two points of a graph of
    a month.
    """
    return Annotation(
        name="Failures",
        expr=f"""\
            1000 * max_over_time((
              max by (provider, account, task_type, task, reason) (
                transcoding_task_last_change_timestamp_seconds{{{matchers}}}
                * ignoring (reason) group_left (reason) transcoding_task_failure_info{{{matchers}}}
              )
            )[$__rate_interval:15s])""",
        title="{{provider}}/{{account}}: {{reason}}",
        text="Task {{task}} ({{task_type}}) failed.",
        tags="provider,account,task_type,reason",
        colour=BAD,
        dated=True,
    )


FAILURES_WITHOUT_SERIES: Final = Annotation(
    name="Failures (of tasks without series)",
    # metrics.per_task is off, or metrics.max_task_series left them out: only the counter is left to tell.
    expr="""\
        sum by (provider, account, task_type, reason) (
          increase(transcoding_task_failures_total{@type}[$__rate_interval])
        ) > 0
        unless on (provider, account, task_type) transcoding_task_failure_info{@type}""",
    title="{{provider}}/{{account}}: {{reason}}",
    text="Tasks ({{task_type}}) failed.",
    tags="provider,account,task_type,reason",
    colour=BAD,
)


def alerts_of(matchers: str) -> Annotation:
    """Return the marks of our alerts while they fire."""
    return Annotation(
        name="Alerts",
        expr=f'ALERTS{{{matchers}, alertname=~"Transcoding.+", alertstate="firing"}}',
        title="{{alertname}}",
        text="{{provider}}/{{account}} {{task}}",
        tags="severity",
        colour=STALLED,
        shown=False,
    )
