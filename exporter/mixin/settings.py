"""What can be set about the rules: every threshold, declared once.

The rules, their command, the chart and the documentation read this table.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """What a setting is; its value is how one is written, in words that follow "write"."""

    DURATION = "a duration of Prometheus, like 90s, 5m or 1h30m"
    NUMBER = "a number, like 3 or 0.5"
    RATIO = "a ratio above 0 and below 1, like 0.99"
    URL = "a URL that begins with http:// or https://"


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of the rules.

    Attributes:
        name: As in `--set` and in the chart's values; it ends with its unit, if it has one.
        default: As it is written.
        kind: What it is.
        help: What it says, in one line.
    """

    name: str
    default: str
    kind: Kind
    help: str


class SettingError(ValueError):
    """A setting that does not exist, or can't be what it is given."""


_DURATION: Final = re.compile(r"0|(?=\d)(\d+w)?(\d+d)?(\d+h)?(\d+m)?(\d+s)?(\d+ms)?", re.ASCII)
_NUMBER: Final = re.compile(r"\d+(\.\d+)?", re.ASCII)
# Nothing that would mean something to YAML, as all line breaks of Unicode do, or to Prometheus' templates.
_URL: Final = re.compile(r"https?://[^\s\"'{}<>#\\]+")

SETTINGS: Final = (
    Setting(
        "keep_firing_for",
        "6m",
        Kind.DURATION,
        "How long an alert outlives missed scrapes; longer than exporter_absent_for.",
    ),
    Setting("success_objective", "0.99", Kind.RATIO, "Share of the tasks that are to end well."),
    Setting(
        "fast_burn", "14.4", Kind.NUMBER, "Times the tolerated share of failures, over 1 hour and 15 minutes."
    ),
    Setting("slow_burn", "6", Kind.NUMBER, "Times the tolerated share of failures, over 6 hours and 1 hour."),
    Setting("min_failures", "3", Kind.NUMBER, "Fewer failures than these make no ratio worth an alert."),
    Setting("retries_factor", "3", Kind.NUMBER, "Times the retries per task of the last day."),
    Setting("min_retries", "5", Kind.NUMBER, "Fewer retries an hour than these are normal."),
    Setting("queue_growth", "1.5", Kind.NUMBER, "Times the queue of half an hour ago."),
    Setting("min_queue", "10", Kind.NUMBER, "A queue shorter than this may grow as it likes."),
    Setting("queue_growing_for", "15m", Kind.DURATION, "How long the queue has to have grown."),
    Setting("waiting_seconds", "1800", Kind.NUMBER, "Age of the oldest queued task."),
    Setting("account_down_for", "5m", Kind.DURATION, "How long no poll of an account has worked."),
    Setting("account_up_ratio", "0.75", Kind.RATIO, "Share of the last hour that an account is to be up."),
    Setting("min_account_falls", "3", Kind.NUMBER, "An account that went down less often is not flapping."),
    Setting("polls_stale_seconds", "900", Kind.NUMBER, "Time since the last poll that brought everything."),
    Setting("api_slow_factor", "3", Kind.NUMBER, "Times the 95th percentile of the last day."),
    Setting("api_slow_seconds", "1", Kind.NUMBER, "An answer within this time is never called slow."),
    Setting("api_slow_for", "15m", Kind.DURATION, "How long the API has been slow."),
    Setting("min_rate_limited", "3", Kind.NUMBER, "Requests refused by a rate limit within 15 minutes."),
    Setting("unknown_tokens_for", "15m", Kind.DURATION, "How long the provider has not known a token."),
    Setting("token_source_down_for", "10m", Kind.DURATION, "How long a source of tokens could not be read."),
    Setting("series_dropped_for", "15m", Kind.DURATION, "How long active tasks were without series."),
    Setting("ledger_degraded_for", "5m", Kind.DURATION, "How long the ledger could not be written."),
    Setting("exporter_absent_for", "5m", Kind.DURATION, "How long an exporter could not be scraped."),
    Setting("shards_disagree_for", "15m", Kind.DURATION, "How long shards have not fitted together."),
    Setting("watched_twice_for", "15m", Kind.DURATION, "How long exporters have had tasks of one account."),
    Setting("reload_failed_for", "5m", Kind.DURATION, "How long a configuration with mistakes has waited."),
    Setting("grafana_url", "http://localhost:3000", Kind.URL, "Where the dashboards are."),
    Setting(
        "runbooks_url",
        "http://localhost:10477/runbooks",
        Kind.URL,
        "Where the runbooks are: at the exporter, or in a copy that is there when it is not.",
    ),
)
"""All of them, in the order of the rules."""


def settled(given: Mapping[str, str]) -> Mapping[str, str]:
    """Return every setting with its value: the given ones, and the defaults of the others.

    Raises:
        SettingError: a name or a value is wrong; the message tells which, and what to write.
    """
    known = {setting.name: setting for setting in SETTINGS}
    for name, value in given.items():
        if name not in known:
            raise SettingError(
                f"there is no setting {name!r}; `transcoding-exporter rules --settings` lists them"
            )
        if not _is(known[name].kind, value):
            raise SettingError(f"{name}: {value!r} won't do; write {known[name].kind}")
    values = {setting.name: given.get(setting.name, setting.default) for setting in SETTINGS}
    tolerated = 1 - float(values["success_objective"])
    for burn in ("fast_burn", "slow_burn"):
        if float(values[burn]) * tolerated >= 1:
            raise SettingError(
                f"{burn}: {values[burn]} times the tolerated share of failures is more than all tasks;"
                f" write a number below {1 / tolerated:.3g}, or a higher success_objective"
            )
    return values


def _is(kind: Kind, value: str) -> bool:
    match kind:
        case Kind.DURATION:
            return value != "" and _DURATION.fullmatch(value) is not None
        case Kind.NUMBER:
            return _NUMBER.fullmatch(value) is not None
        case Kind.RATIO:
            return _NUMBER.fullmatch(value) is not None and 0 < float(value) < 1
        case Kind.URL:
            return _URL.fullmatch(value) is not None
