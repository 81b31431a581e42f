"""The parts of docs/metrics.md."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from docs.generator import series
from docs.generator.markdown import code, codes, fenced, table
from docs.generator.metric_facts import FACTS
from exporter.metrics.families import ACCOUNT, FAMILIES, TASK, TYPE, Family
from exporter.metrics.telemetry import ENDPOINTS
from exporter.mixin.rules import rule_files
from exporter.model import (
    PHASES,
    TASK_TYPES,
    ErrorReason,
    FailureReason,
    MediaKind,
    Outcome,
    Provider,
    State,
)

RULES: Final = "transcoding-recording.yaml"

_NAMES: Final = {Provider.QENCODE: "Qencode", Provider.LIVEPEER: "Livepeer"}
_TASKS: Final = 1000


def parts() -> Mapping[str, str]:
    """Return what each place of the template stands for."""
    groups = _groups()
    return {
        "labels": table(("label", "values"), _labels()),
        **{name: "\n\n".join(map(_family, group)) for name, group in groups.items()},
        "series_of_accounts": table(
            ("an account at", "fleet", "asking", "together"), map(_account_row, Provider)
        ),
        "series_of_tasks": table(
            ("a task at", "while it runs", "once completed", "once failed"), map(_task_row, Provider)
        ),
        "series_example": table(("", "Qencode", "Livepeer"), _example_rows()),
        "recording": fenced("yaml", rule_files({})[RULES]),
    }


def _groups() -> Mapping[str, list[Family]]:
    groups: dict[str, list[Family]] = {"fleet": [], "tasks": [], "asking": [], "ourselves": []}
    for family in FAMILIES:
        groups[_group(family)].append(family)
    return groups


def _group(family: Family) -> str:
    for name, labels in (("tasks", TASK), ("fleet", TYPE), ("asking", ACCOUNT)):
        if family.labels[: len(labels)] == labels:
            return name
    return "ourselves"


def _family(family: Family) -> str:
    fact = FACTS[family.name]
    by = " and ".join(_NAMES[provider] for provider in fact.by)
    # What is not about a provider is not filled by one.
    filled = f"filled by {by}" if "provider" in family.labels else "about the exporter"
    labels = f"labels {codes(family.labels)}" if family.labels else "no labels"
    words = [family.help, *([fact.note] if fact.note else [])]
    return (
        f"### {family.name}\n\n{' '.join(words)}\n\n"
        f"{family.kind.capitalize()} · {labels} · {filled} · {fact.since}.\n\n{fenced('text', fact.sample)}"
    )


def _labels() -> Iterator[tuple[str, str]]:
    yield code("provider"), codes(Provider)
    yield code("account"), "the account's name in the configuration"
    yield (
        code("task"),
        "the provider's id; of a Qencode job its token, or its hash with `metrics.task_label: hash`",
    )
    yield code("task_type"), _by_provider(TASK_TYPES)
    yield code("phase"), f"{_by_provider(PHASES)}; or a word that is new, at most 16 an account, then `other`"
    yield code("state"), codes(State)
    yield code("reason"), f"of a failed task: {codes(FailureReason)}; of an API error: {codes(ErrorReason)}"
    yield code("kind"), codes(MediaKind)
    yield code("endpoint"), _by_provider(ENDPOINTS)
    yield code("code"), "the HTTP status; `none` if there was no answer"
    yield code("outcome"), codes(Outcome)
    yield code("source"), "`task_tokens`, `task_tokens_file`, `task_tokens_http`, `api`"
    yield code("project"), "the provider's id of the project; empty if it tells none"
    yield f"{code('input_asset')}, {code('output_asset')}", "Livepeer's ids of the assets; else empty"
    yield f"{code('version')}, {code('pythonversion')}", "of the exporter, and of Python"


def _by_provider(values: Mapping[Provider, Iterable[str]]) -> str:
    return "; ".join(f"{_NAMES[provider]}: {codes(values[provider])}" for provider in Provider)


def _account_row(provider: Provider) -> tuple[str, ...]:
    of = series.of_account(provider)
    return (_NAMES[provider], str(of.fleet), str(of.asking), f"**{sum(of)}**")


def _task_row(provider: Provider) -> tuple[str, ...]:
    return (_NAMES[provider], *map(str, series.of_task(provider)))


def _example_rows() -> Iterator[tuple[str, ...]]:
    accounts = [sum(series.of_account(provider)) for provider in Provider]
    tasks = [_TASKS * series.of_task(provider).running for provider in Provider]
    whole = [f"{account + task:,}" for account, task in zip(accounts, tasks, strict=True)]
    yield (f"an account with {_TASKS:,} running tasks", *whole)
    yield ("the same, with `per_task: false`", *(f"{account:,}" for account in accounts))
