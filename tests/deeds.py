"""What happens to tasks, and what of it can be observed: counted deed by deed, not by looking at the result.

What happens to a task between two steps of time is one deed, and who looks at least once a step sees how the
deed left the task.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from exporter.simulator import LivepeerAccount, OutputKind, QencodeOutput, QencodeWorld

Sample = tuple[str, frozenset[tuple[str, str]]]

COUNTED = (
    "transcoding_task_phase_entries_total",
    "transcoding_retries_total",
    "transcoding_task_failures_total",
    "transcoding_task_warnings_total",
    "transcoding_output_seconds_total",
    "transcoding_output_bytes_total",
    "transcoding_task_duration_seconds_count",
    "transcoding_task_duration_seconds_sum",
    "transcoding_task_phase_duration_seconds_count",
    "transcoding_task_phase_duration_seconds_sum",
)
"""Every counter of the fleet; of the histograms, how many and how much."""

_FAILURES = {
    "could not download the source": "source_download",
    "unsupported codec": "source_media",
    "upload to s3 failed": "destination",
    "runner was killed": "resources",
    "something else entirely": "unknown",
}
_ONWARDS = {"created": "queued", "queued": "downloading", "downloading": "encoding", "encoding": "saving"}
_QUEUED = ("pending", "waiting", "created", "queued")


@dataclass
class Known:
    """A task as whoever looks once a step knows it."""

    task_type: str
    phase: str
    created: float | None
    entered: float | None
    state: str = ""
    retries: int = 0


class Observable:
    """What there is to count at one provider."""

    def __init__(self, provider: str, account: str, now: Callable[[], float]) -> None:
        self._labels = {"provider": provider, "account": account}
        self.now = now
        self.counts: Counter[Sample] = Counter()
        self.tasks: dict[str, Known] = {}
        self._touched: set[str] = set()
        self._at = 0.0

    def choose(self, random: Random, tasks: Iterable[str]) -> str | None:
        """Choose a task that nothing has happened to since the last step of time; None if there is none."""
        if self._at != self.now():
            self._at = self.now()
            self._touched.clear()
        left = [task for task in tasks if task not in self._touched]
        if not left:
            return None
        self._touched.add(chosen := random.choice(left))
        return chosen

    def first(self, task: str, task_type: str, phase: str, state: str, *, created: float | None) -> None:
        """A task is seen for the first time, in the phase in which it was created."""
        self.tasks[task] = Known(task_type, phase, created, created, state)
        self._touched.add(task)
        self._enter(task)

    def enters(self, task: str, phase: str, state: str) -> None:
        """A task leaves its phase, maybe for the same one in a new attempt."""
        known = self.tasks[task]
        if known.entered is not None:
            self._observe("transcoding_task_phase_duration_seconds", known, known.entered, phase=known.phase)
        known.phase, known.state, known.entered = phase, state, self.now()
        self._enter(task)

    def _enter(self, task: str) -> None:
        known = self.tasks[task]
        self.count("transcoding_task_phase_entries_total", known, phase=known.phase, state=known.state)
        if self.ended(task) and known.created is not None:
            self._observe("transcoding_task_duration_seconds", known, known.created, state=known.state)

    def fails(self, task: str, phase: str, message: str) -> None:
        self.enters(task, phase, "failed")
        self.count("transcoding_task_failures_total", self.tasks[task], reason=_FAILURES[message])

    def retries(self, task: str, number: int) -> None:
        self.count("transcoding_retries_total", self.tasks[task], number)

    def warns(self, task: str) -> None:
        self.count("transcoding_task_warnings_total", self.tasks[task])

    def made(self, task: str, kind: str, seconds: float, size: float) -> None:
        self.count("transcoding_output_seconds_total", self.tasks[task], seconds, kind=kind)
        self.count("transcoding_output_bytes_total", self.tasks[task], size, kind=kind)

    def count(self, name: str, known: Known, number: float = 1, **labels: str) -> None:
        if number:
            every = {**self._labels, "task_type": known.task_type, **labels}
            self.counts[name, frozenset(every.items())] += number  # type: ignore[assignment]

    def ended(self, task: str) -> bool:
        return self.tasks[task].state in {"completed", "failed", "cancelled"}

    def ended_before_now(self, task: str) -> bool:
        return self.ended(task) and self.tasks[task].entered != self.now()

    def _observe(self, name: str, known: Known, since: float, **labels: str) -> None:
        self.count(f"{name}_count", known, 1, **labels)
        self.count(f"{name}_sum", known, self.now() - since, **labels)


class LivepeerDeeds:
    """What happens at Livepeer."""

    def __init__(self, account: LivepeerAccount, now: Callable[[], float], random: Random) -> None:
        self._account = account
        self._random = random
        self.observable = Observable("livepeer", "studio", now)
        self.deleted: set[str] = set()

    def create(self) -> None:
        task_type = self._random.choice(("upload", "clip", "transcode-file", "export"))
        task = self._account.add(task_type)
        self.observable.first(task, task_type, "pending", "queued", created=self.observable.now())

    def happen(self) -> None:
        """Let something happen to some task."""
        alive = [task for task in self.observable.tasks if task not in self.deleted]
        if (task := self.observable.choose(self._random, alive)) is None:
            return
        deeds = {
            "pending": (self._schedule, self._schedule, self._schedule, self._delete),
            "waiting": (*[self._progress] * 4, self._resume, self._will_retry, self._fail, self._cancel),
            "running": (
                *(self._progress, self._will_retry, self._retried_unseen, self._fail, self._cancel),
                *[self._complete] * 3,
            ),
            "completed": (self._late_error, self._nothing, self._delete),
            "failed": (self._by_hand, self._by_hand_and_fails, self._complete, self._nothing),
            "cancelled": (self._by_hand, self._complete, self._delete),
        }
        self._random.choice(deeds[self.observable.tasks[task].phase])(task)

    def _nothing(self, task: str) -> None:
        pass

    def _schedule(self, task: str) -> None:
        self._account.schedule(task)
        self.observable.enters(task, "waiting", "queued")

    def _progress(self, task: str) -> None:
        self._account.progress(task, self._random.choice((None, 0.1, 0.5, 0.9)))
        if self.observable.tasks[task].phase != "running":
            self.observable.enters(task, "running", "running")

    def _resume(self, task: str) -> None:
        self._account.resume(task)

    def _will_retry(self, task: str) -> None:
        """Once, or twice with nobody looking in between."""
        times = self._random.choice((1, 1, 2))
        if self._retried(task, times):
            self.observable.enters(task, "waiting", "queued")

    def _retried_unseen(self, task: str) -> None:
        if self._retried(task, 1):
            self._account.resume(task)
            self._account.progress(task, 0.2)
            self.observable.enters(task, "running", "running")

    def _retried(self, task: str, times: int) -> bool:
        known = self.observable.tasks[task]
        if known.retries + times > 2:
            return False
        for _ in range(times):
            self._account.fail_and_retry(task)
        known.retries += times
        self.observable.retries(task, times)
        return True

    def _fail(self, task: str) -> None:
        message = self._random.choice(tuple(_FAILURES))
        self._account.fail(task, message)
        self.observable.fails(task, "failed", message)

    def _cancel(self, task: str) -> None:
        self._account.cancel(task)
        self.observable.enters(task, "cancelled", "cancelled")
        self.observable.tasks[task].retries = 0

    def _complete(self, task: str) -> None:
        known = self.observable.tasks[task]
        seconds, size = self._random.randrange(5, 4000), self._random.randrange(10**6, 10**9)
        asset = {"size": size, "videoSpec": {"duration": seconds, "tracks": [{"type": "video"}]}}
        makes = known.task_type in {"upload", "clip"}
        self._account.complete(task, {known.task_type: {"assetSpec": asset}} if makes else {})
        self.observable.enters(task, "completed", "completed")
        known.retries = 0
        if makes:
            self.observable.made(task, "video", seconds, size)

    def _late_error(self, task: str) -> None:
        self._account.late_error(task)
        self.observable.tasks[task].retries = 1
        self.observable.retries(task, 1)
        self.observable.enters(task, "waiting", "queued")

    def _by_hand(self, task: str) -> None:
        self._account.retry_by_hand(task)
        self.observable.tasks[task].retries = 0
        self.observable.enters(task, "waiting", "queued")

    def _by_hand_and_fails(self, task: str) -> None:
        """It fails again before anybody looks."""
        self._account.retry_by_hand(task)
        self.observable.tasks[task].retries = 0
        self._fail(task)

    def _delete(self, task: str) -> None:
        self._account.delete(task, purge=self._random.random() < 0.5)
        self.deleted.add(task)


class QencodeDeeds:
    """What happens at Qencode."""

    def __init__(self, world: QencodeWorld, now: Callable[[], float], random: Random) -> None:
        self._world = world
        self._random = random
        self.observable = Observable("qencode", "vod", now)

    @property
    def tokens(self) -> list[str]:
        """The tokens of a source that now and then leaves out what has ended."""
        return [
            task
            for task in self.observable.tasks
            if not self.observable.ended_before_now(task) or self._random.random() < 0.7
        ]

    def create(self) -> None:
        phase = self._random.choice(("created", "queued", "queued", "encoding"))
        self._appears(self._world.add(phase), phase)

    def happen(self) -> None:
        """Let something happen to some job that has not ended: then nothing ever does."""
        alive = [task for task in self.observable.tasks if not self.observable.ended(task)]
        if (task := self.observable.choose(self._random, alive)) is None:
            return
        phase = self.observable.tasks[task].phase
        encoding = (self._progress, self._warn, self._fail, self._restart, self._goes_on, self._goes_on)
        deeds: Mapping[str, Sequence[Callable[[str], None]]] = {
            "encoding": encoding,
            "saving": (self._complete, self._complete, self._fail),
        }
        self._random.choice(deeds.get(phase, (*[self._goes_on] * 5, self._fail)))(task)

    def _appears(self, task: str, phase: str) -> None:
        queued = phase in _QUEUED
        created = self.observable.now() if queued else None
        self.observable.first(task, "transcode", phase, "queued" if queued else "running", created=created)

    def _goes_on(self, task: str) -> None:
        phase = _ONWARDS[self.observable.tasks[task].phase]
        self._world.set(task, phase)
        self.observable.enters(task, phase, "queued" if phase in _QUEUED else "running")

    def _progress(self, task: str) -> None:
        self._world.set(task, percent=self._world.status(task).percent + 1)

    def _warn(self, task: str) -> None:
        self._world.warn(task, "Audio stream not found")
        self.observable.warns(task)

    def _fail(self, task: str) -> None:
        message = self._random.choice(tuple(_FAILURES))
        phase = self._random.choice(("error", "failed", None))
        self._world.fail(task, message, phase)
        self.observable.fails(task, phase or self.observable.tasks[task].phase, message)

    def _restart(self, task: str) -> None:
        message = self._random.choice(tuple(_FAILURES))
        successor = self._world.restart(task, message)
        self.observable.fails(task, "restarted", message)
        self.observable.retries(task, 1)
        self.observable.warns(task)
        self._appears(successor, "queued")

    def _complete(self, task: str) -> None:
        phase = self._random.choice(("completed", "saved"))
        outputs = tuple(self._outputs())
        self._world.set(task, phase, percent=100.0, outputs=outputs)
        self.observable.enters(task, phase, "completed")
        for output in outputs:
            seconds = float(output.duration) if output.kind in {OutputKind.VIDEO, OutputKind.AUDIO} else 0.0
            self.observable.made(task, output.kind.removesuffix("s"), seconds, output.size * 1_000_000)

    def _outputs(self) -> Iterable[QencodeOutput]:
        for kind in OutputKind:
            for number in range(self._random.randrange(3)):
                name = f"{kind.removesuffix('s')}-{number}-0"
                size, duration = self._random.randrange(1, 900), str(self._random.randrange(1, 900))
                yield QencodeOutput(kind, name, name, f"out/{name}", size=float(size), duration=duration)


def counted(samples: Iterable[Any]) -> Mapping[Sample, float]:
    """The counters that are not at 0."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for sample in samples
        if sample.name in COUNTED and sample.value
    }
