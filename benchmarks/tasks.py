"""Tasks to render and to remember, like those that Livepeer Studio tells of."""

from collections.abc import Iterator, Sequence
from random import Random
from typing import Final
from uuid import UUID

from exporter.model import PHASES, Account, FailureReason, Observation, Provider, State

STUDIO: Final = Account(Provider.LIVEPEER, "studio")
VOD: Final = Account(Provider.QENCODE, "vod")

NOW: Final = 1_795_294_800.0
"""2026-11-21T21:00:00Z."""

DAY: Final = 86400.0

_TYPES: Final = ("upload", "upload", "upload", "transcode-file", "clip", "export")
_PHASES: Final = ("running", "running", "running", "waiting", "pending", "completed", "completed", "failed")
_MESSAGE: Final = "Failed to download source: HTTP 404 Not Found"


def uuid(dice: Random) -> str:
    """Return an id as Livepeer's are."""
    return str(UUID(int=dice.getrandbits(128), version=4))


def shown(number: int, dice: Random) -> Sequence[Observation]:
    """Return tasks that have series: most of them running, the others ended within the last minutes."""
    project = uuid(dice)
    return [_shown(dice, project) for _ in range(number)]


def moved(seen: Observation, dice: Random) -> Observation:
    """Return what Livepeer says once a task has gone on."""
    ended = State(seen.state).terminal
    at = _milliseconds(NOW + dice.random())
    return _of(seen.task, seen.task_type, "completed" if ended else "running", seen.created or at, at, dice)


def ended(account: Account, number: int, dice: Random, now: float) -> Iterator[Observation]:
    """Yield tasks that were completed over the last five days, the oldest first."""
    for place in range(number):
        at = _milliseconds(now - 5 * DAY + 4 * DAY * place / number)
        if account.provider is Provider.LIVEPEER:
            yield _of(uuid(dice), "upload", "completed", at - 300, at, dice)
        else:
            yield Observation(
                f"{dice.getrandbits(128):032x}", "transcode", "completed", State.COMPLETED, at, 1.0, 0
            )


def _shown(dice: Random, project: str) -> Observation:
    updated = _milliseconds(NOW - 600 * dice.random())
    created = _milliseconds(updated - 1200 * dice.random())
    return _of(uuid(dice), dice.choice(_TYPES), dice.choice(_PHASES), created, updated, dice, project)


def _of(
    task: str, task_type: str, phase: str, created: float, updated: float, dice: Random, project: str = ""
) -> Observation:
    state = PHASES[Provider.LIVEPEER][phase]
    failed = state is State.FAILED
    return Observation(
        task=task,
        task_type=task_type,
        phase=phase,
        state=state,
        dated=updated,
        progress={State.RUNNING: dice.random(), State.COMPLETED: 1.0}.get(state),
        retries=None if state is State.COMPLETED or phase == "pending" else 0,
        reason=FailureReason.SOURCE_DOWNLOAD if failed else None,
        message=_MESSAGE if failed else "",
        created=created,
        scheduled=None if phase == "pending" else _milliseconds(created + 2 * dice.random()),
        updated=updated,
        finished=updated if state.terminal else None,
        project=project,
        output_asset=uuid(dice),
    )


def _milliseconds(at: float) -> float:
    """Round to what Livepeer's integers of milliseconds can tell."""
    return round(at * 1000) / 1000
