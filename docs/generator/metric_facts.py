"""What the table of families can't tell: who fills each, from when on, and what a sample looks like."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, NamedTuple

from exporter.metrics import families
from exporter.model import Provider


class Since(StrEnum):
    """From when on there are samples."""

    ZERO = "at 0 from the first scrape"
    FIRST_SCRAPE = "from the first scrape"
    FIRST_POLL = "from the first poll"
    FIRST_SUCCESS = "from the first poll that brought everything"
    ACTIVE = "while the task is active"
    TASK = "as long as the task has series"
    TOLD = "as soon as the provider has told it"
    ENDED = "once the task has ended"
    FAILED = "once the task has failed"
    ANY_ACTIVE = "while there is such a task"


class Fact(NamedTuple):
    """What is to be said about one family.

    Attributes:
        sample: One line of a scrape.
        since: From when on there are samples.
        by: The providers that fill it; with the others it stays at 0 or absent.
        note: What else one has to know, in a sentence or two.
    """

    sample: str
    since: Since = Since.ZERO
    by: tuple[Provider, ...] = tuple(Provider)
    note: str = ""


_QENCODE: Final = (Provider.QENCODE,)
_LIVEPEER: Final = (Provider.LIVEPEER,)

_STUDIO: Final = 'provider="livepeer",account="studio"'
_UPLOAD: Final = f'{_STUDIO},task_type="upload"'
_VOD: Final = 'provider="qencode",account="vod"'
_TRANSCODE: Final = f'{_VOD},task_type="transcode"'
_JOB: Final = f'{_VOD},task="4bd1ac1ba5cc9e2430f420712bb1e0be",task_type="transcode"'
_TASK: Final = f'{_STUDIO},task="0d8a3b5e-3f0c-4d6e-9d1e-8a4f3a1c2b7d",task_type="upload"'

_OF_FLEET: Final = {
    families.TASKS: Fact(
        f'transcoding_tasks{{{_UPLOAD},phase="waiting",state="queued"}} 4',
        note="The sum over all labels is the number of tasks that the exporter shows.",
    ),
    families.PHASE_ENTRIES: Fact(
        f'transcoding_task_phase_entries_total{{{_UPLOAD},phase="completed",state="completed"}} 1893',
        note="Once an attempt: a task that fails, is retried and fails again has entered `failed` twice.",
    ),
    families.RETRIES: Fact(
        f"transcoding_retries_total{{{_UPLOAD}}} 12",
        note="At Qencode a retry is a new job with a new token: the old one counts 1 once it is `restarted`.",
    ),
    families.FAILURES: Fact(
        f'transcoding_task_failures_total{{{_TRANSCODE},reason="source_download"}} 3',
        note="In OpenMetrics, with the last such task as exemplar.",
    ),
    families.WARNINGS: Fact(f"transcoding_task_warnings_total{{{_TRANSCODE}}} 7", by=_QENCODE),
    families.DURATION: Fact(
        f'transcoding_task_duration_seconds_bucket{{{_UPLOAD},state="completed",le="300.0"}} 1514',
        note=(
            "Of Livepeer's tasks by Livepeer's times; of Qencode's, which tells none, by our clock, and only "
            "of those that were seen while they were queued. The buckets are `metrics.duration_buckets`."
        ),
    ),
    families.PHASE_DURATION: Fact(
        f'transcoding_task_phase_duration_seconds_bucket{{{_TRANSCODE},phase="encoding",le="600.0"}} 218',
        note=(
            "Only of phases whose beginning is known. Only phases of active tasks. The buckets are "
            "`metrics.phase_duration_buckets`."
        ),
    ),
    families.STALLED: Fact(f'transcoding_stalled_tasks{{{_UPLOAD},phase="running"}} 1'),
    families.FAILED: Fact(
        f'transcoding_failed_tasks{{{_TRANSCODE},reason="destination"}} 1',
        note="Without those that had failed before the account was first watched.",
    ),
    families.OLDEST_ACTIVE: Fact(
        f"transcoding_oldest_active_task_created_timestamp_seconds"
        f'{{{_UPLOAD},state="queued"}} 1.795291321e+09',
        Since.ANY_ACTIVE,
        _LIVEPEER,
        "`time()` minus it is the age of the oldest task.",
    ),
    families.OUTPUT_SECONDS: Fact(
        f'transcoding_output_seconds_total{{{_TRANSCODE},kind="video"}} 86412.4',
        note="All outputs together; at Livepeer, of the tasks that make an asset (upload, import, clip).",
    ),
    families.OUTPUT_BYTES: Fact(
        f'transcoding_output_bytes_total{{{_TRANSCODE},kind="video"}} 5.2417e+10',
        note="Of the same tasks. Qencode tells megabytes, which are taken for 1,000,000 bytes each.",
    ),
}

_OF_TASKS: Final = {
    "transcoding_task_progress_ratio": Fact(
        f"transcoding_task_progress_ratio{{{_JOB}}} 0.43",
        Since.TOLD,
        note=(
            "It can go down: a retry begins anew, and a provider may correct itself. It is 1 once the task"
            " is completed."
        ),
    ),
    "transcoding_task_phase": Fact(
        f'transcoding_task_phase{{{_JOB},phase="encoding",state="running"}} 1',
        Since.TASK,
        note="One series a task, of the phase that it is in.",
    ),
    "transcoding_task_retries": Fact(
        f"transcoding_task_retries{{{_TASK}}} 1",
        Since.TOLD,
        note="Livepeer drops the number when a task ends well; the last one stays.",
    ),
    "transcoding_task_created_timestamp_seconds": Fact(
        f"transcoding_task_created_timestamp_seconds{{{_TASK}}} 1.795291321e+09", Since.TOLD, _LIVEPEER
    ),
    "transcoding_task_scheduled_timestamp_seconds": Fact(
        f"transcoding_task_scheduled_timestamp_seconds{{{_TASK}}} 1.795291323e+09",
        Since.TOLD,
        _LIVEPEER,
        "A retry by hand renews it.",
    ),
    "transcoding_task_updated_timestamp_seconds": Fact(
        f"transcoding_task_updated_timestamp_seconds{{{_TASK}}} 1.795291388e+09", Since.TOLD, _LIVEPEER
    ),
    "transcoding_task_finished_timestamp_seconds": Fact(
        f"transcoding_task_finished_timestamp_seconds{{{_TASK}}} 1.795291502e+09", Since.ENDED, _LIVEPEER
    ),
    "transcoding_task_last_change_timestamp_seconds": Fact(
        f"transcoding_task_last_change_timestamp_seconds{{{_JOB}}} 1.795291388e+09",
        Since.TASK,
        note="Of Qencode's tasks, when the exporter saw the change.",
    ),
    "transcoding_task_stalled": Fact(
        f"transcoding_task_stalled{{{_TASK}}} 0", Since.ACTIVE, note="`poll.stall_after` says for how long."
    ),
    "transcoding_task_failure_info": Fact(
        f'transcoding_task_failure_info{{{_JOB},reason="source_media"}} 1',
        Since.FAILED,
        note="Not of a task that had failed before the account was first watched.",
    ),
    families.TASK_INFO.name: Fact(
        f'transcoding_task_info{{{_TASK},project="b4c7",input_asset="7d21c3e9",output_asset="51fe08ab"}} 1',
        Since.TASK,
        note=(
            "The custom labels of all tokens stand on each sample, empty where a token has none; one that "
            "has the name of a label of ours is called `exported_…`."
        ),
    ),
}

_OF_ASKING: Final = {
    families.UP: Fact(
        f"transcoding_up{{{_STUDIO}}} 1",
        Since.FIRST_SCRAPE,
        note="1 also if a part of the poll failed; 0 while a poll is later than the scrape that wanted it.",
    ),
    families.POLL_DURATION: Fact(
        f'transcoding_poll_duration_seconds_bucket{{{_STUDIO},le="0.5"}} 5741', Since.FIRST_SCRAPE
    ),
    families.POLL_LAST_SUCCESS: Fact(
        f"transcoding_poll_last_success_timestamp_seconds{{{_STUDIO}}} 1.7952915e+09", Since.FIRST_SUCCESS
    ),
    families.POLLS: Fact(f'transcoding_polls_total{{{_VOD},outcome="partial"}} 2'),
    families.API_DURATION: Fact(
        f'transcoding_api_request_duration_seconds_bucket{{{_VOD},endpoint="qencode_master",le="0.25"}} 9120',
        Since.FIRST_SCRAPE,
        note="A retry is a request of its own.",
    ),
    families.API_REQUESTS: Fact(
        f'transcoding_api_requests_total{{{_STUDIO},endpoint="livepeer_list",code="200"}} 5742',
        note="Beforehand, only `200` and `none` are known.",
    ),
    families.API_ERRORS: Fact(
        f'transcoding_api_errors_total{{{_VOD},endpoint="qencode_master",reason="timeout"}} 3'
    ),
    families.UNKNOWN_TOKENS: Fact(f"transcoding_unknown_tokens{{{_VOD}}} 0", Since.FIRST_SCRAPE, _QENCODE),
    families.TOKEN_SOURCE_UP: Fact(
        f'transcoding_token_source_up{{{_VOD},source="task_tokens_file"}} 1', Since.FIRST_POLL, _QENCODE
    ),
}

_OF_OURSELVES: Final = {
    families.SERIES_DROPPED: Fact("transcoding_task_series_dropped 0", Since.FIRST_SCRAPE),
    families.LEDGER_DEGRADED: Fact("transcoding_exporter_ledger_degraded 0", Since.FIRST_SCRAPE),
    families.LEDGER_SET_ASIDE: Fact("transcoding_exporter_ledger_set_aside_files 0", Since.FIRST_SCRAPE),
    families.BUILD_INFO: Fact(
        'transcoding_exporter_build_info{version="0.1.0",pythonversion="3.11.9"} 1', Since.FIRST_SCRAPE
    ),
    families.SHARD_ORDINAL: Fact("transcoding_exporter_shard_ordinal 0", Since.FIRST_SCRAPE),
    families.TOTAL_SHARDS: Fact(
        "transcoding_exporter_total_shards 3",
        Since.FIRST_SCRAPE,
        note="The same at all shards, unless they disagree: then tasks are watched twice, or by nobody.",
    ),
    families.RELOAD_SUCCESSFUL: Fact(
        "transcoding_exporter_config_last_reload_successful 1", Since.FIRST_SCRAPE
    ),
    families.RELOAD_TIMESTAMP: Fact(
        "transcoding_exporter_config_last_reload_success_timestamp_seconds 1.795290004e+09",
        Since.FIRST_SCRAPE,
    ),
    families.WEB_RELOAD_SUCCESSFUL: Fact(
        "transcoding_exporter_web_config_last_reload_successful 1", Since.FIRST_SCRAPE
    ),
}

FACTS: Final[Mapping[str, Fact]] = {
    **{family.name: fact for family, fact in {**_OF_FLEET, **_OF_ASKING, **_OF_OURSELVES}.items()},
    **_OF_TASKS,
}
"""By the name of the family."""
