"""Lives of tasks as the providers can have them, what polls show of them, and what should then be counted.

The model works it out from all that was seen of a task; the exporter only ever knows the last of it.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st
from msgspec.structs import replace

from exporter.model import PHASES, FailureReason, Media, MediaKind, Observation, Provider, State
from exporter.tracking.tally import SUM, Tally

OPENED = 10_000
MADE = (Media(MediaKind.VIDEO, seconds=60.0, bytes=1000.0),)
REASONS = (FailureReason.SOURCE_MEDIA, FailureReason.DESTINATION)

# What can happen to a Livepeer task in each phase (docs: the table of changes of status).
LIVEPEER = {
    "pending": ("schedule",),
    "waiting": ("progress", "progress", "resume", "will retry", "fail", "cancel"),
    "running": ("progress", "progress", "will retry", "fail", "complete", "cancel"),
    "completed": ("will retry",),
    "failed": ("by hand", "complete"),
    "cancelled": ("by hand", "complete"),
}
QENCODE = {
    "created": ("queued",),
    "queued": ("downloading", "encoding", "error"),
    "downloading": ("queued", "encoding", "percent", "stop"),
    "encoding": ("percent", "percent", "warn", "saving", "processing", "stop", "restarted", "error"),
    "processing": ("saving", "warn", "failed"),
    "saving": ("completed", "saved", "warn", "error"),
}


def observation(task: str, provider: Provider, phase: str, **fields: Any) -> Observation:
    state = fields.pop("state", PHASES[provider][phase])
    return Observation(
        task=task,
        task_type="transcode" if provider is Provider.QENCODE else "upload",
        phase=phase,
        state=state,
        media=MADE if state is State.COMPLETED else (),
        **{"dated": 0.0, **fields},
    )


@st.composite
def livepeer_life(draw: st.DrawFn, task: str) -> list[tuple[int, Observation]]:
    """Everything that a task of Livepeer goes through, with the times of the changes."""
    now = draw(st.integers(OPENED - 400, OPENED + 600))
    made = {"created": float(now), "updated": float(now), "dated": float(now)}
    last = observation(task, Provider.LIVEPEER, "pending", **made)
    life = [(now, last)]
    for _ in range(draw(st.integers(0, 12))):
        events = LIVEPEER[last.phase]
        if last.retries == 2:
            events = tuple(event for event in events if event != "will retry")
        now += draw(st.integers(1, 200))
        last = changed(last, draw(st.sampled_from(events)), float(now), draw)
        life.append((now, last))
    return life


def changed(last: Observation, event: str, now: float, draw: st.DrawFn) -> Observation:
    """A task's whole status is replaced: what is not said anew is gone."""
    retries = last.retries
    changes: dict[str, tuple[str, dict[str, Any]]] = {
        "schedule": ("waiting", {"retries": 0, "scheduled": now}),
        "by hand": ("waiting", {"retries": 0, "scheduled": now}),
        "progress": ("running", {"retries": retries}),
        "resume": ("waiting", {"retries": retries}),
        "will retry": ("waiting", {"retries": (retries or 0) + 1}),
        "fail": ("failed", {"retries": retries}),
        "complete": ("completed", {}),
        "cancel": ("cancelled", {}),
    }
    phase, fields = changes[event]
    if phase == "running":
        fields["progress"] = draw(st.sampled_from([None, 0.2, 0.9]))
    if phase == "failed":
        fields["reason"] = draw(st.sampled_from(REASONS))
    if phase in {"failed", "completed", "cancelled"}:
        fields["finished"] = now
    known = {"created": last.created, "scheduled": last.scheduled, "updated": now, "dated": now}
    return observation(last.task, Provider.LIVEPEER, phase, **{**known, **fields})


@st.composite
def qencode_life(draw: st.DrawFn, task: str) -> list[tuple[int, Observation]]:
    """Everything that a job of Qencode goes through; it tells no times."""
    now = draw(st.integers(OPENED + 1, OPENED + 600))
    phase = draw(st.sampled_from(["created", "queued", "encoding"]))
    last = observation(task, Provider.QENCODE, phase, progress=0.0, retries=0, dated=float(now))
    life = [(now, last)]
    while last.state not in {State.COMPLETED, State.FAILED} and len(life) < 12:
        now += draw(st.integers(1, 200))
        event = draw(st.sampled_from(QENCODE[last.phase]))
        if event == "percent":
            last = replace(last, progress=(last.progress or 0.0) + 0.05)
        elif event == "warn":
            last = replace(last, warnings=last.warnings + draw(st.integers(1, 2)))
        elif event == "stop":
            last = replace(last, state=State.FAILED, reason=REASONS[0])
        else:
            failed = PHASES[Provider.QENCODE][event] is State.FAILED
            last = observation(
                *(task, Provider.QENCODE, event),
                retries=int(event == "restarted"),
                warnings=last.warnings,
                reason=REASONS[1] if failed else None,
                dated=last.dated,
            )
        life.append((now, last))
    return life


@dataclass(frozen=True)
class Poll:
    """One look at the account: what it shows, in how many parts, and whether a restart comes before it."""

    at: int
    shown: Sequence[Observation]
    parts: int
    restart: bool


@st.composite
def livepeer_polls(draw: st.DrawFn) -> list[Poll]:
    """Polls of replicas that lag: any task may be missing, come twice, or as it was some changes ago."""
    lives = [draw(livepeer_life(f"task {number}")) for number in range(draw(st.integers(1, 3)))]
    return draw(polls(lives, lag=3))


@st.composite
def qencode_polls(draw: st.DrawFn) -> list[Poll]:
    lives = [draw(qencode_life(f"task {number}")) for number in range(draw(st.integers(1, 3)))]
    return draw(polls(lives, lag=0))


@st.composite
def polls(draw: st.DrawFn, lives: Sequence[Sequence[tuple[int, Observation]]], lag: int) -> list[Poll]:
    made = []
    now = OPENED
    for _ in range(draw(st.integers(1, 14))):
        now += draw(st.integers(1, 250))
        shown: list[Observation] = []
        for life in lives:
            past = [seen for at, seen in life if at <= now]
            for _ in range(draw(st.sampled_from([1, 1, 1, 0, 2])) if past else 0):
                back = draw(st.integers(0, min(lag, len(past) - 1)))
                shown.append(past[-1 - back])
        shown = draw(st.permutations(shown))
        made.append(Poll(now, shown, draw(st.integers(1, 3)), draw(st.booleans())))
    return made


@dataclass
class Model:
    """What should be counted of one task, by all that was seen of it."""

    seen: list[tuple[int, Observation]] = field(default_factory=list)

    def look(self, at: int, seen: Observation) -> None:
        """An answer that is older than what is known says nothing."""
        if not self.seen or (seen.updated or 0) >= (self.seen[-1][1].updated or 0):
            self.seen.append((at, seen))

    def counts(self) -> Counter[tuple[str, ...]]:
        counted: Counter[tuple[str, ...]] = Counter()
        warnings = [seen.warnings for _, seen in self.seen]
        counted["warnings",] = max(warnings)
        series, attempts = self.retries()
        counted["retries",] = sum(series)
        first = 0
        if self.is_history():
            counted["retries",] -= self.seen[0][1].retries or 0
            first = 1
        entered_at = self.entered_at_first_sight()
        for place, (at, seen) in enumerate(self.seen):
            if place and attempts[place] == attempts[place - 1]:
                continue
            moment = at if seen.updated is None else int(seen.updated)
            if place and entered_at is not None:
                self.observe(
                    counted, Tally.PHASE_DURATION, moment - entered_at, self.seen[place - 1][1].phase
                )
            if place:
                entered_at = moment
            if place >= first:
                self.enter(counted, at, seen)
        return +counted

    def retries(self) -> tuple[Sequence[int], Sequence[tuple[object, ...]]]:
        """The last number of each series of retries, and for all that was seen, in which attempt it was.

        Livepeer counts from 0 again when a person retries the task, and after an end that drops the number;
        Qencode never does.
        """
        series = [0]
        attempts = []
        for (_, before), (_, seen) in zip([self.seen[0], *self.seen], self.seen, strict=False):
            by_hand = before.scheduled is not None and seen.scheduled != before.scheduled
            dropped = before.state.terminal and before.retries is None
            told = seen.retries is not None
            if by_hand or (told and (dropped or (seen.retries or 0) < series[-1])):
                series.append(0)
            series[-1] = series[-1] if seen.retries is None else seen.retries
            attempts.append((seen.phase, seen.state, len(series), series[-1]))
        return series, attempts

    def enter(self, counted: Counter[tuple[str, ...]], at: int, seen: Observation) -> None:
        counted["phase_entries", seen.phase, seen.state] += 1
        if seen.state is State.FAILED:
            counted["failures", seen.reason or "unknown"] += 1
        if seen.state is State.COMPLETED:
            counted["output_seconds", "video"] += 60
            counted["output_bytes", "video"] += 1000
        created = self.created()
        if seen.state.terminal and created is not None:
            end = at if seen.finished is None else int(seen.finished)
            self.observe(counted, Tally.DURATION, end - created, seen.state)

    def observe(self, counted: Counter[tuple[str, ...]], tally: Tally, seconds: int, label: str) -> None:
        assert seconds >= 0
        counted[tally, label, "count"] += 1
        counted[tally, label, SUM] += seconds

    def is_history(self) -> bool:
        _, seen = self.seen[0]
        return seen.state.terminal and seen.dated <= OPENED

    def created(self) -> int | None:
        at, seen = self.seen[0]
        if seen.created is not None:
            return int(seen.created)
        return at if seen.state is State.QUEUED else None

    def entered_at_first_sight(self) -> int | None:
        at, seen = self.seen[0]
        if seen.updated is None:
            return at if seen.state is State.QUEUED else None
        return int(seen.updated) if seen.updated in (seen.created, seen.scheduled) else None
