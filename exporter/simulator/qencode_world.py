"""Qencode's jobs, with what can be done to them by hand."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from threading import RLock
from typing import Any
from zlib import crc32

from exporter.simulator.clock import SimulatedClock
from exporter.simulator.dice import dice
from exporter.simulator.life import Life
from exporter.simulator.qencode_life import (
    QencodeJob,
    QencodeLife,
    full_outputs,
    job_script,
    new_token,
    restart_warning,
)
from exporter.simulator.qencode_status import QencodeStatus, QencodeWarning
from exporter.simulator.timeline import Timeline

DEFAULT_API_KEY = "simulated-qencode-key"
_HEALTHY = Life(failure_ratio=0.0, stall_ratio=0.0, warning_ratio=0.0)


@dataclass(frozen=True, slots=True)
class QencodeQuirks:
    """What the service may or may not do; the references leave it open.

    Attributes:
        api_lag: Simulated seconds by which api.qencode.com is behind the masters.
        unknown_fails: Whether one unknown token fails the whole call with error 13, instead of only missing.
        min_interval: Simulated seconds that must pass before the same token is asked about again at the
            same host; sooner answers error 8. 0 for no limit.
        master_keeps: Simulated seconds after its end for which a master knows a job. After that the job is
            only known to api.qencode.com, which no longer names a master, as in the vendor's
            example of a completed job. None for ever.
    """

    api_lag: float = 0.0
    unknown_fails: bool = False
    min_interval: float = 0.0
    master_keeps: float | None = None


class QencodeWorld:
    """All jobs of all projects. All operations happen at the present.

    Args:
        clock: The present.
        seed: Hand-made tokens derive from it.
        masters: How many masters there are.
        life: How jobs come by themselves; None for none.

    Attributes:
        quirks: What the service may or may not do; set it at any time.
        api_key: The key with which the official client gets a token to create jobs.
    """

    def __init__(
        self, clock: SimulatedClock, seed: int = 0, masters: int = 3, life: Life | None = None
    ) -> None:
        self.quirks = QencodeQuirks()
        self.api_key = DEFAULT_API_KEY
        self._clock = clock
        self._masters = masters
        self._random = dice("qencode", seed, "by hand")
        self._script_life = life or _HEALTHY
        self._arrivals = QencodeLife(life, f"qencode/{seed}", clock.time()) if life else None
        self._jobs: dict[str, QencodeJob] = {}
        self._lock = RLock()

    def add(
        self,
        phase: str = "created",
        *,
        token: str | None = None,
        labels: Mapping[str, str] | None = None,
        master: int | None = None,
        script: Iterable[QencodeStatus] = (),
        **state: Any,
    ) -> str:
        """Create a job now.

        Args:
            phase: The word on the wire.
            token: Its token; a new one if None.
            labels: What its owner says about it.
            master: Number of its master, from 1; chosen by its token if None.
            script: What becomes of it, `at` being seconds after now; by hand instead with `set`.
            state: Further attributes of QencodeStatus (`percent`, `error`, `wire` ...).

        Returns:
            The token.
        """
        now = self._clock.time()
        with self._lock:
            chosen = new_token(self._random) if token is None else token
            steps = [QencodeStatus(now, phase, **state)]
            steps += [replace(step, at=now + step.at) for step in script]
            self._put(QencodeJob(chosen, Timeline.of(steps), dict(labels or {})), master)
            return chosen

    def set(self, token: str, phase: str | None = None, **state: Any) -> None:
        """Let a job enter a state now, instead of whatever was planned for it.

        Args:
            token: Its token.
            phase: The word on the wire; None for the present one.
            state: Further attributes of QencodeStatus; what is not given stays as it is.

        Raises:
            KeyError: If there is no such job.
        """
        now = self._clock.time()
        with self._lock:
            job = self._job(token, now)
            before = job.timeline.at(now)
            if before is None:
                raise KeyError(token)
            after = replace(before, at=now, phase=before.phase if phase is None else phase, **state)
            job.timeline = job.timeline.then(after)

    def complete(self, token: str, phase: str = "completed") -> None:
        """Done, with outputs of every rendition."""
        self.set(token, phase, percent=100.0, outputs=full_outputs(self._random, token))

    def fail(self, token: str, description: str = "Internal error", phase: str | None = "error") -> None:
        """Failed; with phase None it stops in the phase it is in, with only the flag set."""
        self.set(token, phase, error=True, description=description)

    def warn(self, token: str, message: str, details: str | None = None, tag: str | None = None) -> None:
        """Attach one more warning."""
        status = self.status(token)
        self.set(token, warnings=(*status.warnings, QencodeWarning(message, details, tag)))

    def restart(self, token: str, description: str = "Encoder killed: out of memory") -> str:
        """Failed and started anew; return the new job's token, which a warning on the old one names."""
        with self._lock:
            old = self._job(token, self._clock.time())
            successor = self.add("queued", labels=old.labels)
        warnings = (*self.status(token).warnings, restart_warning(successor))
        self.set(token, "restarted", error=True, description=description, warnings=warnings)
        return successor

    def start(self, token: str, labels: Mapping[str, str] | None = None) -> None:
        """Start a job that was only created: it then lives its life as any other."""
        now = self._clock.time()
        with self._lock:
            job = self._job(token, now)
            planned = job_script(dice(token), self._script_life, None, now)
            job.timeline = Timeline.of((*job.timeline.until(now), *planned.steps[1:]))
            job.labels.update(labels or {})

    def forget(self, token: str) -> None:
        """Make a token unknown."""
        with self._lock:
            del self._jobs[token]

    def status(self, token: str) -> QencodeStatus:
        """Return a job's present state.

        Raises:
            KeyError: If there is no such job.
        """
        now = self._clock.time()
        with self._lock:
            status = self._job(token, now).timeline.at(now)
        if status is None:
            raise KeyError(token)
        return status

    def find(self, tokens: Iterable[str]) -> dict[str, QencodeJob]:
        """Return the jobs that exist among the tokens, in their order."""
        now = self._clock.time()
        with self._lock:
            self._arrive(now)
            found = {token: self._jobs[token] for token in tokens if token in self._jobs}
        return {token: job for token, job in found.items() if job.timeline.first.at <= now}

    def recent(self, seconds: float) -> list[QencodeJob]:
        """Return the jobs created in the last seconds, oldest first."""
        now = self._clock.time()
        with self._lock:
            self._arrive(now)
            jobs = list(self._jobs.values())
        recent = [job for job in jobs if now - seconds <= job.timeline.first.at <= now]
        return sorted(recent, key=lambda job: job.timeline.first.at)

    def now(self) -> float:
        """Return the present, in seconds since the epoch."""
        return self._clock.time()

    def _job(self, token: str, now: float) -> QencodeJob:
        self._arrive(now)
        return self._jobs[token]

    def _put(self, job: QencodeJob, master: int | None = None) -> None:
        job.master = master or crc32(job.token.encode()) % self._masters + 1
        self._jobs[job.token] = job

    def _arrive(self, now: float) -> None:
        if self._arrivals is None:
            return
        arrived = list(self._arrivals.arrived(now))
        for job in arrived:
            self._put(job)
        if arrived:
            old = [token for token, job in self._jobs.items() if self._arrivals.forgotten(job, now)]
            for token in old:
                del self._jobs[token]
