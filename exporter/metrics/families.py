"""Every metric family, declared once.

The collector, the documentation and the tests of rules and dashboards read this table; nothing else names a
family.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from exporter.metrics.view import Sight, failure
from exporter.model import FailureReason, Task

ACCOUNT: Final = ("provider", "account")
TYPE: Final = (*ACCOUNT, "task_type")
TASK: Final = (*ACCOUNT, "task", "task_type")


class Kind(StrEnum):
    """Prometheus' type of a family."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Family:
    """One metric family.

    Attributes:
        name: As in a query; of a histogram, without `_bucket`.
        kind: Prometheus' type.
        help: One sentence for the `# HELP` line.
        labels: In their order.
        buckets: Upper bounds in seconds, of a histogram whose buckets are not a matter of configuration.
    """

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...]
    buckets: tuple[float, ...] = ()

    @property
    def base(self) -> str:
        """The name as OpenMetrics has it in a `# TYPE` line: of a counter, without `_total`."""
        return self.name.removesuffix("_total") if self.kind is Kind.COUNTER else self.name


@dataclass(frozen=True, slots=True)
class TaskFamily:
    """A gauge of each single task.

    Attributes:
        family: The family.
        value: Its value, from the task and from where it is looked at; None leaves the sample out.
        labels: Its labels behind those of the task.
    """

    family: Family
    value: Callable[[Task, Sight], float | None]
    labels: Callable[[Task], tuple[str, ...]] = lambda _: ()


def _gauge(name: str, help_: str, labels: tuple[str, ...]) -> Family:
    return Family(name, Kind.GAUGE, help_, labels)


def _counter(name: str, help_: str, labels: tuple[str, ...]) -> Family:
    return Family(name, Kind.COUNTER, help_, labels)


TASKS: Final = _gauge(
    "transcoding_tasks",
    "Tasks now in the phase: active ones, and ended ones until the retention is over.",
    (*TYPE, "phase", "state"),
)
PHASE_ENTRIES: Final = _counter(
    "transcoding_task_phase_entries_total",
    "Times a task was seen to enter the phase.",
    (*TYPE, "phase", "state"),
)
RETRIES: Final = _counter("transcoding_retries_total", "Retries made by the provider.", TYPE)
FAILURES: Final = _counter(
    "transcoding_task_failures_total", "Failed tasks by class of reason.", (*TYPE, "reason")
)
WARNINGS: Final = _counter(
    "transcoding_task_warnings_total", "Warnings that the provider attached to tasks.", TYPE
)
OLDEST_ACTIVE: Final = _gauge(
    "transcoding_oldest_active_task_created_timestamp_seconds",
    "When the oldest active task in the state was created; absent if there is none, or nobody tells; uploads"
    " without a file do not count.",
    (*TYPE, "state"),
)

DURATION: Final = Family(
    "transcoding_task_duration_seconds",
    Kind.HISTOGRAM,
    "Duration of tasks from creation to the end, by terminal state.",
    (*TYPE, "state"),
)
PHASE_DURATION: Final = Family(
    "transcoding_task_phase_duration_seconds",
    Kind.HISTOGRAM,
    "Time that tasks spent in the phase, observed when they left it.",
    (*TYPE, "phase"),
)
STALLED: Final = _gauge(
    "transcoding_stalled_tasks",
    "Active tasks whose phase and progress have not changed for stall_after; not uploads without a file.",
    (*TYPE, "phase"),
)
FAILED: Final = _gauge(
    "transcoding_failed_tasks",
    "Tasks that have failed, until their retention is over, by class of reason.",
    (*TYPE, "reason"),
)
OUTPUT_SECONDS: Final = _counter(
    "transcoding_output_seconds_total",
    "Playing time of the media that completed tasks made.",
    (*TYPE, "kind"),
)
OUTPUT_BYTES: Final = _counter(
    "transcoding_output_bytes_total", "Size of the media that completed tasks made.", (*TYPE, "kind")
)

PER_TASK: Final = (
    TaskFamily(
        _gauge("transcoding_task_progress_ratio", "Progress of the task from 0 to 1.", TASK),
        lambda task, _: task.seen.progress,
    ),
    TaskFamily(
        _gauge("transcoding_task_phase", "1 for the current phase of the task.", (*TASK, "phase", "state")),
        lambda *_: 1,
        lambda task: (task.seen.phase, task.seen.state),
    ),
    TaskFamily(
        _gauge("transcoding_task_retries", "Retries of the task so far, as last told by the provider.", TASK),
        lambda task, _: task.retries,
    ),
    TaskFamily(
        _gauge("transcoding_task_created_timestamp_seconds", "When the task was created.", TASK),
        lambda task, _: task.seen.created,
    ),
    TaskFamily(
        _gauge("transcoding_task_scheduled_timestamp_seconds", "When the task was last scheduled.", TASK),
        lambda task, _: task.seen.scheduled,
    ),
    TaskFamily(
        _gauge(
            "transcoding_task_updated_timestamp_seconds", "When the provider last updated the task.", TASK
        ),
        lambda task, _: task.seen.updated,
    ),
    TaskFamily(
        _gauge("transcoding_task_finished_timestamp_seconds", "When the task ended.", TASK),
        lambda task, _: task.seen.finished,
    ),
    TaskFamily(
        _gauge(
            "transcoding_task_last_change_timestamp_seconds",
            "When the phase or the progress of the task last changed.",
            TASK,
        ),
        lambda task, sight: task.changed + sight.to_date,
    ),
    TaskFamily(
        _gauge(
            "transcoding_task_stalled",
            "1 if phase and progress of the active task have not changed for stall_after, else 0; see"
            " transcoding_stalled_tasks.",
            TASK,
        ),
        lambda task, sight: float(sight.stalled(task)) if task.ended is None else None,
    ),
    TaskFamily(
        _gauge(
            "transcoding_task_failure_info",
            "1 for a task that has failed, with the class of the reason.",
            (*TASK, "reason"),
        ),
        lambda task, _: None if failure(task) is None else 1,
        lambda task: (task.seen.reason or FailureReason.UNKNOWN,),
    ),
)
TASK_INFO: Final = _gauge(
    "transcoding_task_info",
    "1, with what else the provider tells about the task, and the custom labels of its token.",
    (*TASK, "project", "input_asset", "output_asset"),
)

# An answer takes from tens of milliseconds to the 10 s after which it is given up; a poll is a few of them.
_REQUEST_BUCKETS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_POLL_BUCKETS: Final = (*_REQUEST_BUCKETS, 30.0, 60.0)

UP: Final = _gauge("transcoding_up", "1 if the last poll of the account worked.", ACCOUNT)
POLL_DURATION: Final = Family(
    "transcoding_poll_duration_seconds",
    Kind.HISTOGRAM,
    "Duration of one poll of one account, all its requests.",
    ACCOUNT,
    _POLL_BUCKETS,
)
POLL_LAST_SUCCESS: Final = _gauge(
    "transcoding_poll_last_success_timestamp_seconds", "When a poll last succeeded as a whole.", ACCOUNT
)
POLLS: Final = _counter("transcoding_polls_total", "Polls by how they ended.", (*ACCOUNT, "outcome"))
API_DURATION: Final = Family(
    "transcoding_api_request_duration_seconds",
    Kind.HISTOGRAM,
    "Duration of one request to the provider, up to the last byte of its answer.",
    (*ACCOUNT, "endpoint"),
    _REQUEST_BUCKETS,
)
API_REQUESTS: Final = _counter(
    "transcoding_api_requests_total",
    "Requests to the provider by HTTP status; none if there was no answer.",
    (*ACCOUNT, "endpoint", "code"),
)
API_ERRORS: Final = _counter(
    "transcoding_api_errors_total",
    "Requests and records that brought nothing usable, by reason.",
    (*ACCOUNT, "endpoint", "reason"),
)
UNKNOWN_TOKENS: Final = _gauge(
    "transcoding_unknown_tokens", "Watched tokens that the API does not know.", ACCOUNT
)

SERIES_DROPPED: Final = _gauge(
    "transcoding_task_series_dropped", "Active tasks without series of their own, by max_task_series.", ()
)
BUILD_INFO: Final = _gauge(
    "transcoding_exporter_build_info",
    "1, with the versions of the exporter and of Python.",
    ("version", "pythonversion"),
)
SHARD_ORDINAL: Final = _gauge("transcoding_exporter_shard_ordinal", "Number of this shard, from 0.", ())
TOTAL_SHARDS: Final = _gauge(
    "transcoding_exporter_total_shards", "Shards that share the tasks; 1 if it is alone.", ()
)
LEDGER_DEGRADED: Final = _gauge(
    "transcoding_exporter_ledger_degraded",
    "1 while the ledger can't be written and what is new is kept in memory only.",
    (),
)
LEDGER_SET_ASIDE: Final = _gauge(
    "transcoding_exporter_ledger_set_aside_files",
    "Damaged ledgers that were set aside and still lie beside the one in use.",
    (),
)
TOKEN_SOURCE_UP: Final = _gauge(
    "transcoding_token_source_up",
    "1 if the source of tokens was last read; if not, its last good list stays in force.",
    (*ACCOUNT, "source"),
)
RELOAD_SUCCESSFUL: Final = _gauge(
    "transcoding_exporter_config_last_reload_successful",
    "1 if the configuration was last read without a mistake.",
    (),
)
RELOAD_TIMESTAMP: Final = _gauge(
    "transcoding_exporter_config_last_reload_success_timestamp_seconds",
    "When the configuration was last read without a mistake.",
    (),
)
WEB_RELOAD_SUCCESSFUL: Final = _gauge(
    "transcoding_exporter_web_config_last_reload_successful",
    "1 if the file of --web.config.file was last read without a mistake, and what it names; 1 without one.",
    (),
)

FAMILIES: Final = (
    TASKS,
    PHASE_ENTRIES,
    RETRIES,
    FAILURES,
    WARNINGS,
    DURATION,
    PHASE_DURATION,
    STALLED,
    FAILED,
    OLDEST_ACTIVE,
    OUTPUT_SECONDS,
    OUTPUT_BYTES,
    *(entry.family for entry in PER_TASK),
    TASK_INFO,
    UP,
    POLL_DURATION,
    POLL_LAST_SUCCESS,
    POLLS,
    API_DURATION,
    API_REQUESTS,
    API_ERRORS,
    UNKNOWN_TOKENS,
    TOKEN_SOURCE_UP,
    SERIES_DROPPED,
    LEDGER_DEGRADED,
    LEDGER_SET_ASIDE,
    BUILD_INFO,
    SHARD_ORDINAL,
    TOTAL_SHARDS,
    RELOAD_SUCCESSFUL,
    RELOAD_TIMESTAMP,
    WEB_RELOAD_SUCCESSFUL,
)
"""All of them, in the order of the documentation."""
