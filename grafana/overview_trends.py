"""The lower part of the Overview: how things develop, and whether it is us or the provider."""

from typing import Final

from exporter.mixin.settings import settled
from grafana import panels
from grafana.colours import BAD, GOOD, PERCENTILES, STALLED
from grafana.layout import Band
from grafana.panels import NO_EXPORTER
from grafana.queries import ACCOUNT, Query, percentiles

# Lines are drawn where the alerts draw them.
_SETTINGS: Final = settled({})
_TOLERATED: Final = round(1 - float(_SETTINGS["success_objective"]), 6)
_WAITING: Final = float(_SETTINGS["waiting_seconds"])

# Where no creation is told, a queued task has waited since its last change at least: its own series tell.
QUEUED_SINCE: Final = """\
  transcoding_oldest_active_task_created_timestamp_seconds{@type, state="queued"}
  or transcoding_task_last_change_timestamp_seconds{@type}
    and ignoring (phase, state) transcoding_task_phase{@type, state="queued"}
"""
"""Since when tasks have been queued, the oldest of each type or each of them."""

_QUEUE: Final = panels.lines(
    "Queue",
    "Queued tasks of each account.",
    Query('sum by (provider, account) (transcoding_tasks{@type, state="queued"})', ACCOUNT),
    unit="short",
    empty=NO_EXPORTER,
)
_WAITING_TIME: Final = panels.lines(
    "Oldest waiting over time",
    "Age of the oldest queued task of each account; at Qencode, the time since it was queued. The line is "
    "where the alert begins, which is for Livepeer only.",
    Query(f"time() - min by (provider, account) ({QUEUED_SINCE})", ACCOUNT),
    unit="s",
    empty="nothing waiting",
    limits={_WAITING: STALLED},
)
_COMPLETED: Final = panels.lines(
    "Completed in an hour",
    "Tasks that were completed within the hour before.",
    Query(
        "sum by (provider, account) "
        '(increase(transcoding_task_phase_entries_total{@type, state="completed"}[1h]))',
        ACCOUNT,
    ),
    unit="short",
    empty=NO_EXPORTER,
)
_OUTPUT: Final = panels.lines(
    "Media made in an hour",
    "Playing time of the video and audio that the tasks completed within the hour before have made.",
    Query(
        "sum by (provider, account, kind) "
        '(increase(transcoding_output_seconds_total{@type, kind=~"video|audio"}[1h])) > 0',
        "{{provider}}/{{account}} {{kind}}",
    ),
    unit="s",
    empty="nothing made",
)

_FAILURE_RATIO: Final = panels.lines(
    "Failure ratio",
    f"Share of the tasks that ended within an hour, and within six (dashed), that failed, of all types. "
    f"The line is the objective: {_TOLERATED:.1%} may fail.",
    Query(
        "account:transcoding_failures_per_ended_task:ratio_increase1h{@recorded}",
        "{{provider}}/{{account}} 1 h",
    ),
    Query(
        "account:transcoding_failures_per_ended_task:ratio_increase6h{@recorded}",
        "{{provider}}/{{account}} 6 h",
    ),
    unit="percentunit",
    empty="nothing has ended",
    limits={_TOLERATED: BAD},
)
panels.dashed(_FAILURE_RATIO, "/ 6 h$/")
_RETRIES: Final = panels.lines(
    "Retries in an hour",
    "Retries that the provider made within the hour before. A restarted job of Qencode counts as one.",
    Query(
        "sum by (provider, account) (increase(transcoding_retries_total{@type}[1h]))",
        ACCOUNT,
    ),
    unit="short",
    empty=NO_EXPORTER,
)
_DURATIONS: Final = panels.lines(
    "Duration of completed tasks",
    "From creation to the end, of the tasks completed within the hour before: half of them took no longer "
    "than p50, nine of ten no longer than p90.",
    *percentiles(
        'sum by (le) (rate(transcoding_task_duration_seconds_bucket{@type, state="completed"}[1h]))'
    ),
    unit="s",
    empty="nothing completed",
    colours=PERCENTILES,
)
_PHASES: Final = panels.lines(
    "Time in each phase, p90",
    "Nine of ten tasks that left the phase within the hour before had spent no longer in it.",
    Query(
        "histogram_quantile(0.9, sum by (provider, phase, le) "
        "(rate(transcoding_task_phase_duration_seconds_bucket{@type}[1h])))",
        "{{provider}} {{phase}}",
    ),
    unit="s",
    empty="no phase was left",
)

_HEALTH: Final = panels.timeline(
    "Accounts",
    "Whether the last poll of each account brought anything.",
    Query("min by (provider, account) (transcoding_up{@account})", ACCOUNT),
    texts={1: ("up", GOOD), 0: ("down", BAD)},
    empty=NO_EXPORTER,
)
_LATENCY: Final = panels.lines(
    "Requests, p95",
    "19 of 20 requests to the provider were answered within this time.",
    Query(
        "histogram_quantile(0.95, sum by (provider, account, le) "
        "(rate(transcoding_api_request_duration_seconds_bucket{@account}[$__rate_interval])))",
        ACCOUNT,
    ),
    unit="s",
    empty="no requests",
)
_ERRORS: Final = panels.lines(
    "Request errors",
    "Requests and records that brought nothing usable. `auth`, `tls` and `client` are mostly ours, "
    "`rate_limited` is both, the others are mostly theirs.",
    Query(
        "sum by (provider, account, reason) "
        "(rate(transcoding_api_errors_total{@account}[$__rate_interval])) > 0",
        "{{provider}}/{{account}} {{reason}}",
    ),
    unit="reqps",
    empty="no errors",
)

BANDS: Final = (
    Band(8, (_QUEUE, _WAITING_TIME, _COMPLETED, _OUTPUT), heading="Queue and throughput"),
    Band(8, (_FAILURE_RATIO, _RETRIES), heading="Failures against the objective"),
    Band(8, (_DURATIONS, _PHASES), heading="Durations"),
    Band(8, (_HEALTH, _LATENCY, _ERRORS), heading="Providers"),
)
