"""Livepeer tasks that come by themselves, each with the script of its life."""

from collections.abc import Iterator
from random import Random
from uuid import UUID

from exporter.simulator.life import Arrivals, Fate, Life, report_times
from exporter.simulator.livepeer_content import TASK_TYPES, task_fields, task_output
from exporter.simulator.livepeer_status import (
    MAX_RETRIES,
    RETRY_PAUSES,
    LivepeerChange,
    LivepeerEvent,
)
from exporter.simulator.livepeer_task import LivepeerTask

_WEIGHTS = (8, 6, 3, 2, 1, 1)
# Error messages of every class of reason; the first few stand in the recorded answers.
ERROR_MESSAGES = (
    "Catalyst: upload failed: timeout",
    "file has zero duration",
    "catalyst pipeline error",
    "error downloading source: http status 404",
    "failed to fetch input: connection reset by peer",
    'unsupported codec: "quoted" é\u2028 text',
    "probe failed: moov atom not found, file is corrupt",
    "error uploading to destination: permission denied (403)",
    "error writing segment: no space left on device",
    "transcoder killed: out of memory",
    "failed to stitch segments: missing segment 12",
    "drm: license key server did not answer",
)


class LivepeerLife:
    """An account's stream of tasks.

    Args:
        life: How busy and how troubled it is.
        seed: Names the stream.
        start: Seconds since the epoch at which the simulation starts.
        user_id: The account's user.
        project_id: The account's default project.
    """

    def __init__(self, life: Life, seed: str, start: float, user_id: str, project_id: str) -> None:
        self._life = life
        self._arrivals = Arrivals(life, seed, start)
        self._user_id = user_id
        self._project_id = project_id

    def arrived(self, now: float) -> Iterator[LivepeerTask]:
        """Yield the tasks created since the last call, up to a moment."""
        for at, rng in self._arrivals.until(now):
            fate = Fate(self._life, rng)
            task_type = rng.choices(TASK_TYPES, _WEIGHTS)[0]
            task_id = str(UUID(int=rng.getrandbits(128), version=4))
            fields = task_fields(rng, task_type, task_id, self._user_id, self._project_id)
            script = _Script(rng, self._life, fate, task_type, task_id).written()
            yield LivepeerTask.scripted(fields, at, script)

    def forgotten(self, task: LivepeerTask, now: float) -> bool:
        """Return whether a task ended long ago."""
        finished = task.timeline.last.status["phase"] in {"completed", "failed", "cancelled"}
        memory = self._life.memory if finished else self._life.memory * 10
        return task.timeline.last.at < now - memory


class _Script:
    """Writes down what will happen to one task."""

    def __init__(self, rng: Random, life: Life, fate: Fate, task_type: str, task_id: str) -> None:
        self._rng = rng
        self._fate = fate
        self._task_type = task_type
        self._task_id = task_id
        self._left = life.duration(rng)
        self._now = 0.0
        self._changes: list[LivepeerChange] = []

    def written(self) -> list[LivepeerChange]:
        # An upload waits for its file; the others only for the scheduler.
        pending = self._rng.uniform(3.0, 25.0) if self._task_type == "upload" else self._rng.uniform(1.0, 8.0)
        if self._fate.stalls and self._rng.random() < 0.3:
            return []
        self._then(pending, LivepeerEvent.SCHEDULED)
        self._then(self._rng.uniform(4.0, 30.0), LivepeerEvent.PROGRESS, progress=0)
        if self._fate.stalls:
            self._run(self._rng.uniform(0.2, 0.9))
        elif self._fate.fails:
            self._fail()
        else:
            self._finish()
        return self._changes

    def _finish(self) -> None:
        self._run(1.0)
        output = task_output(self._rng, self._task_type, self._task_id)
        self._then(self._rng.uniform(0.5, 3.0), LivepeerEvent.COMPLETED, output=output)

    def _fail(self) -> None:
        message = self._rng.choice(ERROR_MESSAGES)
        if self._fate.recovers:
            for _ in range(self._rng.randint(1, MAX_RETRIES)):
                self._try_again(message)
            self._finish()
        elif self._rng.random() < 0.15:
            self._run(self._rng.uniform(0.1, 0.9))
            self._then(1.0, LivepeerEvent.CANCELLED)
        else:
            self._fail_for_good(message)
            if self._rng.random() < 0.2:
                self._then(self._rng.uniform(60.0, 240.0), LivepeerEvent.RETRIED_BY_HAND)
                self._finish()

    def _fail_for_good(self, message: str) -> None:
        """At once, when trying again is of no use, or after all retries."""
        if self._rng.random() < 0.5:
            self._run(self._rng.uniform(0.05, 0.9))
            self._then(1.0, LivepeerEvent.FAILED, message=message)
            return
        for _ in range(MAX_RETRIES):
            self._try_again(message)
        self._run(self._rng.uniform(0.05, 0.9))
        self._then(1.0, LivepeerEvent.FAILED, message=f"max retries reached: {message}")

    def _try_again(self, message: str) -> None:
        self._run(self._rng.uniform(0.05, 0.9))
        tries = sum(change.event is LivepeerEvent.WILL_RETRY for change in self._changes)
        self._then(1.0, LivepeerEvent.WILL_RETRY, message=message)
        self._then(RETRY_PAUSES[tries], LivepeerEvent.RESUMED)
        self._then(self._rng.uniform(1.0, 5.0), LivepeerEvent.PROGRESS, progress=0)

    def _run(self, share: float) -> None:
        """Report progress up to a share of the work, at times going down and at times without a number."""
        start, end = self._now, self._now + self._left * share
        for at, done in report_times(self._rng, start, end):
            dice = self._rng.random()
            progress = None if dice < 0.03 else round(done * share * (0.9 if dice < 0.06 else 1.0), 3)
            self._changes.append(LivepeerChange(at, LivepeerEvent.PROGRESS, progress=progress))
        self._now = end

    def _then(self, pause: float, event: LivepeerEvent, **details: object) -> None:
        self._now += pause
        self._changes.append(LivepeerChange(self._now, event, **details))  # type: ignore[arg-type]
