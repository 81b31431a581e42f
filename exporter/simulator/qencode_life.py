"""Qencode jobs that come by themselves or from a client, each with the timeline of its life."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from random import Random

from exporter.simulator.life import Arrivals, Fate, Life, report_times
from exporter.simulator.qencode_status import (
    OutputKind,
    QencodeOutput,
    QencodeStatus,
    QencodeWarning,
)
from exporter.simulator.timeline import Timeline

PROJECTS = ("catalogue", "news", "sports")
# Descriptions of every class of reason, by the phase in which it strikes.
ERROR_DESCRIPTIONS = {
    "downloading": (
        "Error downloading source video: HTTP 404 Not Found",
        "Unable to fetch source: connection timed out",
    ),
    "encoding": (
        "Failed to decode input: unsupported codec",
        "Invalid input: no streams found, file may be corrupt",
        "No space left on device",
        "Encoder killed: out of memory",
        "Failed to stitch segments",
        "Widevine license key server did not answer",
        "Internal error",
    ),
    "saving": (
        "Upload failed: permission denied for bucket",
        "Could not save to destination: S3 answered 403",
    ),
}
_RENDITIONS = (("360p", 640, 360, 800), ("720p", 1280, 720, 2500), ("1080p", 1920, 1080, 4800))


@dataclass
class QencodeJob:
    """One job.

    Attributes:
        token: Its id, and the right to see it.
        timeline: Its states over time; operations replace it.
        labels: What its owner says about it; shown by token discovery.
        master: Number of its master, from 1.
    """

    token: str
    timeline: Timeline[QencodeStatus]
    labels: dict[str, str] = field(default_factory=dict)
    master: int = 1


class QencodeLife:
    """The stream of jobs.

    Args:
        life: How busy and how troubled it is.
        seed: Names the stream.
        start: Seconds since the epoch at which the simulation starts.
    """

    def __init__(self, life: Life, seed: str, start: float) -> None:
        self._life = life
        self._arrivals = Arrivals(life, seed, start)

    def arrived(self, now: float) -> Iterator[QencodeJob]:
        """Yield the jobs created since the last call, up to a moment.

        A job that will be restarted brings its successor along, whose timeline starts later.
        """
        for at, rng in self._arrivals.until(now):
            fate = Fate(self._life, rng)
            labels = {"project": rng.choice(PROJECTS)}
            token, successor = new_token(rng), new_token(rng)
            script = job_script(rng, self._life, fate, at, successor)
            yield QencodeJob(token, script, labels)
            if fate.recovers:
                restarted = job_script(rng, self._life, None, script.last.at)
                yield QencodeJob(successor, restarted, labels)

    def forgotten(self, job: QencodeJob, now: float) -> bool:
        """Return whether a job ended long ago."""
        last = job.timeline.last
        return last.at < now - (self._life.memory if last.ended else self._life.memory * 10)


def new_token(rng: Random) -> str:
    """Return a task token: 32 hex digits, as in the vendor's examples."""
    return f"{rng.getrandbits(128):032x}"


def job_script(
    rng: Random, life: Life, fate: Fate | None, at: float, successor: str = ""
) -> Timeline[QencodeStatus]:
    """Return the timeline of a job.

    Args:
        rng: Its dice.
        life: How long jobs take.
        fate: How it ends; None for well.
        at: Seconds since the epoch at which its token is made.
        successor: The token under which it is restarted, if that is its fate.
    """
    return _Script(rng, life, at).written(fate, successor)


class _Script:
    """Writes down what will happen to one job."""

    def __init__(self, rng: Random, life: Life, at: float) -> None:
        self._rng = rng
        self._left = life.duration(rng)
        self._media = rng.uniform(5.0, 3600.0)
        self._name = f"{rng.getrandbits(64):016x}"
        self._steps = [QencodeStatus(at, "created")]

    def written(self, fate: Fate | None, successor: str) -> Timeline[QencodeStatus]:
        breaks_in = None
        if fate is not None and (fate.fails or fate.stalls):
            breaks_in = self._rng.choices(("downloading", "encoding", "saving"), (3, 5, 2))[0]
        warnings = _warnings(self._rng) if fate is not None and fate.warned else ()
        self._begin()
        for phase in ("downloading", "encoding", "saving"):
            self._work(phase, warnings, short=phase == breaks_in)
            if phase == breaks_in and fate is not None:
                if fate.fails:
                    self._break(phase, fate, successor)
                return Timeline.of(self._steps)
        self._finish()
        return Timeline.of(self._steps)

    def _begin(self) -> None:
        """Order is not promised: a job may be queued after its download (the vendor lists it first)."""
        self._then(self._rng.uniform(1.0, 5.0), "queued")
        if self._rng.random() < 0.3:
            self._steps[-1] = replace(self._steps[-1], phase="downloading")
            self._then(self._rng.uniform(2.0, 10.0), "queued")
        if self._rng.random() < 0.3:
            self._then(self._rng.uniform(4.0, 15.0), "started")

    def _work(self, phase: str, warnings: tuple[QencodeWarning, ...], *, short: bool) -> None:
        if phase == "encoding":
            self._encode(warnings, 0.6 if short else 1.0)
            return
        self._then(self._rng.uniform(4.0, 15.0), phase, percent=99.0 if phase == "saving" else 0.0)

    def _encode(self, warnings: tuple[QencodeWarning, ...], share: float) -> None:
        seconds = max(self._left - 45.0, self._left * 0.6) * share
        start = self._steps[-1].at + self._rng.uniform(8.0, 40.0)
        self._steps.append(QencodeStatus(start, "encoding", warnings=warnings))
        for at, done in report_times(self._rng, start, start + seconds):
            percent = done * share * 98.0
            outputs = _outputs(self._media, percent, self._name)
            before = self._steps[-1].outputs
            # Equal outputs are kept once: a job has many steps.
            made = before if outputs == before else outputs
            self._steps.append(QencodeStatus(at, "encoding", percent, outputs=made, warnings=warnings))

    def _finish(self) -> None:
        before = self._steps[-1]
        outputs = _outputs(self._media, 100.0, self._name)
        phase = "saved" if self._rng.random() < 0.1 else "completed"
        at = before.at + self._rng.uniform(5.0, 20.0)
        self._steps.append(replace(before, at=at, phase=phase, percent=100.0, outputs=outputs))

    def _break(self, phase: str, fate: Fate, successor: str) -> None:
        before = self._steps[-1]
        at = before.at + self._rng.uniform(1.0, 5.0)
        broken = replace(before, at=at, error=True, description=self._rng.choice(ERROR_DESCRIPTIONS[phase]))
        if fate.recovers:
            warning = restart_warning(successor)
            broken = replace(broken, phase="restarted", warnings=(*before.warnings, warning))
        elif self._rng.random() > 0.25:
            # The rest stops in the phase it was in, with only the flag set.
            broken = replace(broken, phase="error")
        self._steps.append(broken)

    def _then(self, pause: float, phase: str, percent: float = 0.0) -> None:
        before = self._steps[-1]
        self._steps.append(replace(before, at=before.at + pause, phase=phase, percent=percent))


def restart_warning(successor: str) -> QencodeWarning:
    """Return the warning by which a restarted job names its new one."""
    return QencodeWarning("Task was restarted", f"New task token: {successor}", "restart")


def full_outputs(rng: Random, name: str) -> tuple[QencodeOutput, ...]:
    """Return the outputs of a completed job.

    Args:
        rng: Where its duration comes from.
        name: Goes into the paths.
    """
    return _outputs(rng.uniform(5.0, 3600.0), 100.0, name)


def _warnings(rng: Random) -> tuple[QencodeWarning, ...]:
    message = rng.choice(("Audio stream not found", "Source bitrate is lower than requested"))
    return (QencodeWarning(message, tag="video-0-0"),)


def _outputs(media: float, percent: float, name: str) -> tuple[QencodeOutput, ...]:
    """Renditions come one after the other, as in the vendor's example, and a thumbnail after them all."""
    ready = min(int(percent / 98.0 * len(_RENDITIONS)), len(_RENDITIONS))
    videos = [
        QencodeOutput(
            OutputKind.VIDEO,
            tag=f"video-{index}-0",
            user_tag=user_tag,
            key=f"videos/{user_tag}/{name}.mp4",
            bitrate=bitrate,
            duration=f"{media:.6f}",
            size=round(media * bitrate / 8000, 3),
            width=width,
            height=height,
        )
        for index, (user_tag, width, height, bitrate) in enumerate(_RENDITIONS[:ready])
    ]
    if ready < len(_RENDITIONS):
        return tuple(videos)
    image = QencodeOutput(
        OutputKind.IMAGE, "image-0-0", "320x240/5", f"thumbs/{name}.png", format=None, size=0.08
    )
    return (*videos, image)
