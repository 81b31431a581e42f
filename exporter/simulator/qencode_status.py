"""What Qencode knows of a job at a moment, before any server puts it into words."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

TERMINAL = frozenset({"completed", "saved", "error", "failed", "restarted"})


class OutputKind(StrEnum):
    """The list of outputs to which one belongs."""

    VIDEO = "videos"
    AUDIO = "audios"
    IMAGE = "images"
    TEXT = "texts"


@dataclass(frozen=True, slots=True)
class QencodeOutput:
    """One output of a job.

    Attributes:
        kind: Its list.
        tag: The system's tag, e.g. `video-0-0`.
        user_tag: The user's tag, e.g. `480p`.
        key: Path in the bucket.
        format: File format; None for an image, as in the vendor's example.
        bitrate: kbit/s.
        duration: Seconds, as text, which is what the service sends.
        size: Megabytes.
        width, height: Pixels; 0 for none.
        percent: 0 to 100.
    """

    kind: OutputKind
    tag: str
    user_tag: str
    key: str
    format: str | None = "mp4"
    bitrate: int = 0
    duration: str = "0"
    size: float = 0.0
    width: int = 0
    height: int = 0
    percent: float = 100.0


@dataclass(frozen=True, slots=True)
class QencodeWarning:
    """A warning attached to a job."""

    message: str
    details: str | None = None
    tag: str | None = None


@dataclass(frozen=True, slots=True)
class QencodeStatus:
    """The state of a job from a moment on.

    Attributes:
        at: Seconds since the epoch.
        phase: The word on the wire, in lower case.
        percent: 0 to 100.
        error: Whether the job failed; it may do so in any phase.
        description: Why, in the service's words.
        outputs: What it made so far.
        warnings: What the service remarked.
        wire: Fields to put on the wire as they are, whatever the rest says; for odd answers in tests.
        without: Fields to leave out.
    """

    at: float
    phase: str
    percent: float = 0.0
    error: bool = False
    description: str | None = None
    outputs: tuple[QencodeOutput, ...] = ()
    warnings: tuple[QencodeWarning, ...] = ()
    wire: Mapping[str, object] = field(default_factory=dict)
    without: frozenset[str] = frozenset()

    @property
    def ended(self) -> bool:
        """Whether the job is over."""
        return self.error or self.phase in TERMINAL
