"""Task: everything about one task, also for as long as it is remembered by Prometheus only."""

from collections.abc import Mapping
from typing import Final

from grafana_foundation_sdk.models.dashboard import Dashboard

from exporter.model import State
from grafana import panels, variables
from grafana.annotations import alerts_of, failures_of
from grafana.colours import BAD, GOOD, NEUTRAL, QUIET, STALLED, STATES
from grafana.layout import Band, assemble, external
from grafana.queries import Query
from grafana.tables import Column, link, table

_NUMBERS: Final[Mapping[State, int]] = {state: number for number, state in enumerate(State, start=1)}
_TEXTS: Final = {number: (str(state), STATES[state]) for state, number in _NUMBERS.items()}

_STATE: Final = "\nor ".join(
    f'{number} * transcoding_task_phase{{@task, state="{state}"}}' for state, number in _NUMBERS.items()
)
"""The phase of the task, with the number of its state as the value: Grafana gives colours to numbers."""

_QENCODE: Final = "https://portal.qencode.com/"
_LIVEPEER: Final = "https://livepeer.studio/dashboard"
_ID: Final = "([0-9A-Za-z-]+)"
_GONE: Final = "not in the time shown"


def dashboard() -> Dashboard:
    """Return the dashboard."""
    return assemble(
        "transcoding-task",
        "Transcoding / Task",
        "How far one task is, what it went through and when, and why it failed.",
        variables=(
            variables.datasource(),
            *map(variables.several, ("job", "instance", "provider", "account", "task_type")),
            variables.one("task"),
        ),
        annotations=(failures_of("@task"), alerts_of('@job, task="$task"')),
        bands=(
            Band(4, (_CURRENT_STATE, _CURRENT_PHASE, _CURRENT_PROGRESS, _MOVING, _CURRENT_RETRIES, _REASON)),
            Band(6, (_HISTORY,)),
            Band(9, (_PROGRESS, _RETRIES), widths=(16, 8)),
            Band(3, (_TIMES,)),
            Band(4, (_ABOUT,)),
        ),
        # Neither has a page for a single task that could be addressed by its id.
        links=(external("Qencode portal", _QENCODE), external("Livepeer Studio", _LIVEPEER)),
    )


def _asked(name: str) -> str:
    return f"max(transcoding_task_{name}{{@task}})"


def _last(label: str, series: str) -> Query:
    """Ask for the series of the task that was there last, in the time shown; they differ in the label."""
    seen = f"max_over_time(timestamp({series}{{@task}})[$__range:15s])"
    return Query(f"topk(1, max by ({label}) ({seen}))", now=True)


_CURRENT_STATE: Final = panels.number(
    "State",
    "The state of the task, the last one in the time shown.",
    Query(f"max(\n{_STATE}\n)"),
    unit="none",
    texts=_TEXTS,
    empty=_GONE,
)
_CURRENT_PHASE: Final = panels.word(
    "Phase",
    "The provider's own word for where the task is, the last one in the time shown.",
    _last("phase", "transcoding_task_phase"),
    label="phase",
    colour=QUIET,
    empty=_GONE,
)
_CURRENT_PROGRESS: Final = panels.number(
    "Progress",
    "How far the task is, as the provider tells it.",
    Query(_asked("progress_ratio")),
    unit="percentunit",
    steps={0: STATES[State.RUNNING], 1: GOOD},
    empty=_GONE,
)
_MOVING: Final = panels.number(
    "Moving",
    "Whether it is stalled: phase and progress have not changed for longer than `poll.stall_after`.",
    Query(_asked("stalled"), now=True),
    unit="none",
    texts={0: ("moving", QUIET), 1: ("stalled", STALLED)},
    empty="has ended",
)
_CURRENT_RETRIES: Final = panels.number(
    "Retries",
    "How often the provider retried the task. A restarted job of Qencode goes on as another task.",
    Query(_asked("retries")),
    empty=_GONE,
)
_REASON: Final = panels.word(
    "Failed because of",
    "The class of the reason, if it failed in the time shown. The exporter's log has the provider's words.",
    _last("reason", "transcoding_task_failure_info"),
    label="reason",
    colour=BAD,
    empty="no failure",
)
_HISTORY: Final = panels.timeline(
    "Phases",
    "When the task was in which phase; the colour is the state that it means.",
    Query(f"max by (phase) (\n{_STATE}\n)", "{{phase}}"),
    texts=_TEXTS,
    empty=_GONE,
)
_PROGRESS: Final = panels.lines(
    "Progress over time",
    "How far the task is. It can fall: a retry begins anew.",
    Query(_asked("progress_ratio"), "progress"),
    unit="percentunit",
    colours={"progress": STATES[State.RUNNING]},
    empty=_GONE,
).max(1)
_RETRIES: Final = panels.areas(
    "Retries over time",
    "How often the provider has retried the task.",
    Query(_asked("retries"), "retries"),
    unit="short",
    colours={"retries": NEUTRAL},
    empty=_GONE,
)
_TIMES: Final = panels.number(
    "Times",
    "As the provider tells them; Qencode tells none. The last change is that of phase or progress.",
    *(
        Query(f"1000 * {_asked(f'{name}_timestamp_seconds')}", legend)
        for name, legend in (
            ("created", "created"),
            ("scheduled", "scheduled"),
            ("last_change", "last change"),
            ("updated", "updated"),
            ("finished", "finished"),
        )
    ),
    unit="dateTimeAsIso",
    empty=_GONE,
)
_ABOUT: Final = table(
    "About the task",
    "What else the provider tells, and the custom labels of its token. The link leads as near to the task as "
    "the provider's portal lets it: to its output at Livepeer Studio, else to the portal.",
    Query(
        f"""\
        label_replace(
          label_join(
            label_replace(
              label_replace(
                transcoding_task_info{{@task}}
                or last_over_time(transcoding_task_info{{@task}}[$__range])
                  unless on (task) transcoding_task_info{{@task}},
                "portal", "{_QENCODE}", "provider", "qencode"),
              "portal", "{_LIVEPEER}", "provider", "livepeer"),
            "page", "/", "provider", "project", "output_asset"),
          "portal", "{_LIVEPEER}/projects/$1/assets/$2", "page", "livepeer/{_ID}/{_ID}")""",
        now=True,
    ),
    columns=(
        Column("task", "Task", width=300),
        Column("provider", "Provider", width=85),
        Column("account", "Account", width=110),
        Column("task_type", "Type", width=105),
        Column("portal", "Portal", look=link("Open the provider's portal", "${__value.raw}")),
        Column("project", "Project"),
        Column("input_asset", "Input"),
        Column("output_asset", "Output"),
    ),
    hidden=("A", "page"),
    empty=_GONE,
)
