"""Queries, and the matchers that every one of them carries."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from textwrap import dedent
from typing import Final

from grafana_foundation_sdk.builders import prometheus
from grafana_foundation_sdk.models.dashboard import DataSourceRef
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

DATASOURCE: Final = DataSourceRef(type_val="prometheus", uid="${datasource}")

_TARGET: Final = 'job=~"$job", instance=~"$instance"'
_ACCOUNT: Final = 'provider=~"$provider", account=~"$account"'
_TYPE: Final = f'{_ACCOUNT}, task_type=~"$task_type"'

_MATCHERS: Final[Mapping[str, str]] = {
    "@target": _TARGET,
    "@account": f"{_TARGET}, {_ACCOUNT}",
    "@type": f"{_TARGET}, {_TYPE}",
    "@task": f'{_TARGET}, {_TYPE}, task="$task"',
    # What the recording rules yield stands for all instances of a job.
    "@recorded": f'job=~"$job", {_ACCOUNT}',
    "@job": 'job=~"$job"',
}

ACCOUNT: Final = "{{provider}}/{{account}}"
"""The legend of an account's series."""


def expand(query: str) -> str:
    """Return a query with matchers for `@target`, `@account`, `@type`, `@task`, `@recorded`, `@job`.

    Raises:
        KeyError: a word that begins with `@` is none of these.
    """
    return re.sub(r"@\w+", lambda place: _MATCHERS[place[0]], dedent(query).strip())


@dataclass(frozen=True, slots=True)
class Query:
    """What a panel asks Prometheus for.

    Attributes:
        expr: PromQL, with `@…` for the matchers.
        legend: Name of a series, with `{{label}}` for a label; empty if the panel shows no names.
        now: Whether to ask for the end of the time shown only: a number that went away is not shown as if it
            still stood.
    """

    expr: str
    legend: str = ""
    now: bool = False

    def target(self, number: int, form: PromQueryFormat) -> prometheus.Dataquery:
        """Return it as the panel's target of that number, from 0, whose answer has the given form."""
        target = (
            prometheus.Dataquery()
            .ref_id("ABCDEFGH"[number])
            .datasource(DATASOURCE)
            .expr(expand(self.expr))
            .format(form)
            .legend_format(self.legend or "__auto")
        )
        return target.instant() if self.now else target.range()


def percentiles(buckets: str) -> tuple[Query, ...]:
    """Return the queries for p50, p90 and p99 from one for the rate of buckets by `le`."""
    return tuple(Query(f"histogram_quantile(0.{share}, {buckets})", f"p{share}") for share in (50, 90, 99))
