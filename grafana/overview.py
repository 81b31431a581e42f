"""Overview: is anything stuck or failing, which, why, since when; is it us or the provider?"""

from typing import Final

from grafana_foundation_sdk.builders import stat
from grafana_foundation_sdk.models.dashboard import Dashboard

from exporter.mixin.settings import settled
from exporter.model import State
from grafana import overview_trends, panels, variables
from grafana.annotations import FAILURES_WITHOUT_SERIES, alerts_of, failures_of
from grafana.colours import BAD, GOOD, STALLED, STATES
from grafana.layout import Band, assemble
from grafana.overview_trends import QUEUED_SINCE
from grafana.panels import NO_EXPORTER
from grafana.queries import Query
from grafana.tables import Column, bar, link, table

# A colour changes where the alert begins.
_WAITING: Final = float(settled({})["waiting_seconds"])

_TO_TASK: Final = link(
    "Show this task",
    "/d/transcoding-task?${datasource:queryparam}&${job:queryparam}&${instance:queryparam}"
    "&var-provider=${__data.fields.provider}&var-account=${__data.fields.account:percentencode}"
    "&var-task=${__data.fields.task:percentencode}&${__url_time_range}",
)
_TASK: Final = (
    Column("task", "Task", look=_TO_TASK),
    Column("provider", "Provider", width=85),
    Column("account", "Account", width=110),
    Column("task_type", "Type", width=105),
)

# Where the provider tells no creation, a task is as old as its last change: at least it is not older.
_OLDEST: Final = """\
topk(20, max by (provider, account, task_type, task, phase) (
  (time() - (
    transcoding_task_created_timestamp_seconds{@type}
    or transcoding_task_last_change_timestamp_seconds{@type}
  ))
  * ignoring (phase, state) group_left (phase) transcoding_task_phase{@type, state="running"}
))"""


def dashboard() -> Dashboard:
    """Return the dashboard."""
    return assemble(
        "transcoding-overview",
        "Transcoding / Overview",
        "Is anything stuck or failing, which task, why, since when, is it us or the provider?",
        variables=(
            variables.datasource(),
            *map(variables.several, ("job", "instance", "provider", "account", "task_type")),
        ),
        annotations=(failures_of("@type"), FAILURES_WITHOUT_SERIES, alerts_of("@job")),
        bands=(
            Band(5, (_STALLED, _FAILED, _DOWN, _state(State.QUEUED), _state(State.RUNNING), _OLDEST_WAITING)),
            Band(8, (_STALLED_NOW, _FAILED_LATELY)),
            Band(9, (_FLEET, _FAILURES)),
            Band(10, (_RUNNING_NOW,), heading="Running tasks"),
            *overview_trends.BANDS,
        ),
    )


_STALLED: Final = panels.count(
    "Stalled",
    "Active tasks whose phase and progress have not changed for longer than `poll.stall_after`.",
    "sum(transcoding_stalled_tasks{@type})",
    steps={0: GOOD, 1: STALLED},
    empty=NO_EXPORTER,
)
_FAILED: Final = panels.count(
    "Failed",
    "Tasks that have failed, until `poll.retention` (15 minutes) is over. "
    "What had failed before anybody watched is left out.",
    "sum(transcoding_failed_tasks{@type})",
    steps={0: GOOD, 1: BAD},
    empty=NO_EXPORTER,
)
_DOWN: Final = panels.count(
    "Accounts down",
    "Accounts whose last poll brought nothing. Their tasks are shown as they were last known.",
    "sum(1 - min by (provider, account) (transcoding_up{@account}))",
    steps={0: GOOD, 1: BAD},
    empty=NO_EXPORTER,
)
_OLDEST_WAITING: Final = panels.count(
    "Oldest waiting",
    "Age of the oldest queued task. Qencode does not tell when a job was created: there, the time since it "
    "was queued.",
    f"time() - min({QUEUED_SINCE})",
    unit="s",
    steps={0: STATES[State.QUEUED], _WAITING: STALLED},
    empty="nothing waiting",
)


def _state(state: State) -> stat.Panel:
    return panels.count(
        state.capitalize(),
        f"Tasks that are {state} now.",
        f'sum(transcoding_tasks{{@type, state="{state}"}})',
        steps={0: STATES[state]},
        empty=NO_EXPORTER,
    )


_STALLED_NOW: Final = table(
    "Stalled now",
    "Tasks that do not move, the longest first. Tasks without series of their own "
    "(`metrics.per_task`, `metrics.max_task_series`) are only counted.",
    Query(
        """\
        max by (provider, account, task_type, task, phase) (
          (time() - transcoding_task_last_change_timestamp_seconds{@type})
          * ignoring (phase, state) group_left (phase) transcoding_task_phase{@type}
          and ignoring (phase) transcoding_task_stalled{@type} == 1
        )""",
        now=True,
    ),
    Query(
        """\
        sum by (provider, account, task_type, phase) (transcoding_stalled_tasks{@type}) > 0
        unless on (provider, account, task_type) transcoding_task_stalled{@type} == 1""",
        now=True,
    ),
    columns=(
        *_TASK,
        Column("phase", "Phase", width=105),
        Column("A", "Not moved for", unit="s", width=125),
        Column("B", "Unnamed", unit="short", width=85),
    ),
    order="Not moved for",
    descending=True,
    empty="nothing stalled",
)
_FAILED_LATELY: Final = table(
    "Failed lately",
    "Tasks that have failed, the latest first, with the class of the reason; the exporter's log has the "
    "provider's own words. Tasks without series of their own are only counted.",
    Query(
        """\
        1000 * max by (provider, account, task_type, task, reason) (
          transcoding_task_last_change_timestamp_seconds{@type}
          * ignoring (reason) group_left (reason) transcoding_task_failure_info{@type}
        )""",
        now=True,
    ),
    Query(
        """\
        sum by (provider, account, task_type, reason) (transcoding_failed_tasks{@type}) > 0
        unless on (provider, account, task_type) transcoding_task_failure_info{@type}""",
        now=True,
    ),
    columns=(
        *_TASK,
        Column("reason", "Reason", width=130),
        Column("A", "Failed", unit="dateTimeFromNow", width=125),
        Column("B", "Unnamed", unit="short", width=85),
    ),
    order="Failed",
    descending=True,
    empty="nothing failed",
)
_FLEET: Final = panels.in_front(
    panels.areas(
        "Fleet by state",
        "Tasks by state; ended ones until their retention is over. The line is those that are stalled.",
        # What has ended lies on top: there is most of it, and it matters least.
        Query('sum by (state) (transcoding_tasks{@type, state!~"completed|cancelled"})', "{{state}}"),
        Query('sum by (state) (transcoding_tasks{@type, state=~"completed|cancelled"})', "{{state}}"),
        Query("sum(transcoding_stalled_tasks{@type})", "stalled"),
        unit="short",
        empty=NO_EXPORTER,
        colours=STATES | {"stalled": STALLED},
    ),
    "stalled",
)
_FAILURES: Final = panels.bars(
    "Failures by reason",
    "Tasks that failed, by the class of the reason. The legend has the totals of the time shown.",
    Query(
        "round(sum by (reason) (increase(transcoding_task_failures_total{@type}[$__rate_interval]))) > 0",
        "{{reason}}",
    ),
    unit="short",
    empty="nothing failed",
    hue=BAD,
)
_RUNNING_NOW: Final = table(
    "Tasks running",
    "The 20 oldest running tasks. Qencode does not tell when a job was created: there, age is the time since "
    "the last change.",
    Query(_OLDEST, now=True),
    Query(
        f"""\
        max by (provider, account, task_type, task) (transcoding_task_progress_ratio{{@type}})
        and ignoring (phase) {_OLDEST}""",
        now=True,
    ),
    Query(
        f"""\
        time() - max by (provider, account, task_type, task) (
          transcoding_task_last_change_timestamp_seconds{{@type}}
        )
        and ignoring (phase) {_OLDEST}""",
        now=True,
    ),
    columns=(
        *_TASK,
        Column("phase", "Phase", width=130),
        Column("B", "Progress", unit="percentunit", width=420, look=bar(STATES[State.RUNNING])),
        Column("C", "Not moved for", unit="s", width=130),
        Column("A", "Age", unit="s", width=130),
    ),
    order="Age",
    descending=True,
    empty="nothing running",
)
