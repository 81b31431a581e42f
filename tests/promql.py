"""What a query means, by its syntax tree: which series it reads, and which labels its result can have.

Labels flow: a selector has those of its family and of its target, an aggregation keeps some, a match brings
some across. Each label that a query names must be there at that point, or the query is about nothing.
"""

from collections.abc import Mapping, Set
from datetime import timedelta
from typing import Final, NamedTuple

import promql_parser as promql

from exporter.metrics.families import FAMILIES, Kind

Labels = frozenset[str]

TARGET: Final = frozenset({"job", "instance", "pod"})
"""What Prometheus adds to a scraped series; `pod` is what its operator adds."""

_FOREIGN: Final = (
    "up",
    "scrape_samples_scraped",
    "scrape_duration_seconds",
    "process_start_time_seconds",
    "process_resident_memory_bytes",
    "process_cpu_seconds_total",
    "process_open_fds",
)
"""What is read of every target, whatever it exports."""

_ALERTS: Final = frozenset({"alertname", "alertstate", "severity", "job", "provider", "account", "task"})
"""Labels of `ALERTS`, which Prometheus writes; each alert has some of them."""

RATE_INTERVAL: Final = timedelta(seconds=61)
"""Stands for `$__rate_interval`: nobody writes that by hand, so it is known again by its length."""

DURATIONS: Final[Mapping[str, str]] = {"$__rate_interval": "61s", "$__interval": "15s", "$__range": "6h"}
"""What is put in the place of a duration, as Grafana does."""


class QueryError(AssertionError):
    """A query about nothing."""


class Selector(NamedTuple):
    """One reading of series.

    `function` is what its window is given to; both are None for a reading without a window.
    """

    name: str
    matchers: frozenset[str]
    function: str | None
    window: timedelta | None


def scraped() -> dict[str, Labels]:
    """Every series that Prometheus has before any rule, with its labels."""
    series = {"ALERTS": _ALERTS, **dict.fromkeys(_FOREIGN, TARGET)}
    for family in FAMILIES:
        labels = TARGET.union(family.labels)
        if family.kind is Kind.HISTOGRAM:
            series[f"{family.name}_bucket"] = labels | {"le"}
            series[f"{family.name}_sum"] = series[f"{family.name}_count"] = labels
        else:
            series[family.name] = labels
    return series


def interpolated(query: str, durations: Mapping[str, str] = DURATIONS) -> str:
    """A query with durations in the place of Grafana's variables for them."""
    for name, duration in durations.items():
        query = query.replace(name, duration)
    return query


class Meaning:
    """Reads queries against the series that there are."""

    def __init__(self, series: Mapping[str, Labels]) -> None:
        """Take every series that may be read, with its labels."""
        self._series = series

    def labels(self, query: str) -> Labels:
        """The labels that a result can have; fails if it names a series or a label that is not there."""
        return self._of(promql.parse(interpolated(query)))

    def _of(self, node: promql.Expr) -> Labels:
        match node:
            case promql.NumberLiteral() | promql.StringLiteral():
                return Labels()
            case promql.ParenExpr() | promql.UnaryExpr() | promql.SubqueryExpr():
                return self._of(node.expr)
            case promql.VectorSelector():
                return self._selected(node)
            case promql.MatrixSelector():
                return self._selected(node.vector_selector)
            case promql.AggregateExpr():
                return self._aggregated(node)
            case promql.Call():
                return self._called(node)
            case promql.BinaryExpr():
                return self._matched(node)
        raise NotImplementedError(type(node))

    def _selected(self, node: promql.VectorSelector) -> Labels:
        name = node.name or ""
        if name not in self._series:
            raise QueryError(f"there is no series {name}")
        _expect({matcher.name for matcher in node.matchers.matchers}, self._series[name], name)
        return self._series[name]

    def _aggregated(self, node: promql.AggregateExpr) -> Labels:
        inner = self._of(node.expr)
        named = frozenset(node.modifier.labels if node.modifier else ())
        _expect(named, inner, str(node.op))
        if str(node.op) in ("topk", "bottomk"):
            return inner
        # What it counts becomes a label, of which it is told the name.
        counted = Labels({node.param.val} if isinstance(node.param, promql.StringLiteral) else ())
        if node.modifier and node.modifier.type == promql.AggModifierType.Without:
            return (inner - named) | counted
        return named | counted

    def _called(self, node: promql.Call) -> Labels:
        found = Labels().union(*map(self._of, node.args))
        texts = [arg.val for arg in node.args if isinstance(arg, promql.StringLiteral)]
        match node.func.name:
            case "label_replace":
                target, _, source, _ = texts
                _expect({source}, found, "label_replace")
                return found | {target}
            case "label_join":
                target, _, *sources = texts
                _expect(set(sources), found, "label_join")
                return found | {target}
            case "histogram_quantile":
                _expect({"le"}, found, "histogram_quantile")
                return found - {"le"}
        return found

    def _matched(self, node: promql.BinaryExpr) -> Labels:
        left, right = self._of(node.lhs), self._of(node.rhs)
        if str(node.op) == "or" or _is_scalar(node.lhs) or _is_scalar(node.rhs):
            return left | right
        compared = _compared(node, left, right)
        if str(node.op) in ("and", "unless"):
            return left
        if node.modifier and node.modifier.card == promql.VectorMatchCardinality.ManyToOne:
            brought = frozenset(node.modifier.group_labels or ())
            _expect(brought, right, "group_left")
            return left | brought
        return compared


def selectors(query: str) -> list[Selector]:
    """Every reading of series in a query."""
    found: list[Selector] = []
    path: list[promql.Expr] = []

    def visit(node: promql.Expr) -> None:
        if isinstance(node, promql.MatrixSelector):
            call = next(passed for passed in reversed(path) if isinstance(passed, promql.Call))
            found.append(_selector(node.vector_selector, call.func.name, node.range))
        elif isinstance(node, promql.VectorSelector) and not _ends_with_window(path):
            found.append(_selector(node, None, None))
        path.append(node)

    promql.walk(promql.parse(interpolated(query)), visit)
    return found


def _ends_with_window(path: list[promql.Expr]) -> bool:
    return bool(path) and isinstance(path[-1], promql.MatrixSelector)


def _selector(node: promql.VectorSelector, function: str | None, window: timedelta | None) -> Selector:
    return Selector(node.name or "", frozenset(map(str, node.matchers.matchers)), function, window)


def _compared(node: promql.BinaryExpr, left: Labels, right: Labels) -> Labels:
    """The labels by which two vectors are matched; fails if they can never match."""
    matching = node.modifier.matching if node.modifier else None
    named = frozenset(matching.labels if matching else ())
    if matching and matching.type == promql.LabelModifierType.Include:
        _expect(named, left, f"the left of {node.op}")
        _expect(named, right, f"the right of {node.op}")
        return named
    _expect(named, left | right, f"either side of {node.op}")
    if left - named != right - named:
        raise QueryError(
            f"nothing matches across {node.op}: but one side has {sorted((left ^ right) - named)}"
        )
    return left - named


def _is_scalar(node: promql.Expr) -> bool:
    match node:
        case promql.NumberLiteral():
            return True
        case promql.ParenExpr() | promql.UnaryExpr():
            return _is_scalar(node.expr)
        case promql.BinaryExpr():
            return _is_scalar(node.lhs) and _is_scalar(node.rhs)
        case promql.Call():
            return bool(node.func.return_type == promql.ValueType.Scalar)
    return False


def _expect(wanted: Set[str], found: Labels, where: str) -> None:
    if missing := wanted - found:
        raise QueryError(
            f"{where} has no label {', '.join(sorted(missing))}; it has {', '.join(sorted(found))}"
        )
