"""The vocabulary that every other module speaks; it imports nothing of ours.

A *provider* runs *tasks* for an *account*. Each answer of a provider yields *observations*: what it said
about one task at one moment. Times are seconds since the Unix epoch.
"""

import sys
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Final, NamedTuple, Protocol

from msgspec import Meta, Struct


class Provider(StrEnum):
    """A transcoding service."""

    QENCODE = "qencode"
    LIVEPEER = "livepeer"


class State(StrEnum):
    """What a provider's phase means to us, in words common to all providers."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"

    @property
    def terminal(self) -> bool:
        """Whether the task has ended. A Livepeer task can still come back from here."""
        return self in _TERMINAL


_TERMINAL = frozenset({State.COMPLETED, State.FAILED, State.CANCELLED})


PHASES: Final[Mapping[Provider, Mapping[str, State]]] = {
    # Qencode's digest of its API; the wire has lower case where the documentation has capitals.
    Provider.QENCODE: {
        "created": State.QUEUED,
        "queued": State.QUEUED,
        "started": State.RUNNING,
        "downloading": State.RUNNING,
        "encoding": State.RUNNING,
        "processing": State.RUNNING,
        "saving": State.RUNNING,
        "completed": State.COMPLETED,
        "saved": State.COMPLETED,
        "error": State.FAILED,
        "failed": State.FAILED,
        "restarted": State.FAILED,
    },
    # livepeer/studio, the task's status.phase.
    Provider.LIVEPEER: {
        "pending": State.QUEUED,
        "waiting": State.QUEUED,
        "running": State.RUNNING,
        "completed": State.COMPLETED,
        "failed": State.FAILED,
        "cancelled": State.CANCELLED,
    },
}
"""Every documented phase and what it means; any other text is a phase of state unknown."""

OTHER: Final = "other"
"""Stands for a task type, or for a phase beyond the bound, that we do not know by name."""

TASK_TYPES: Final[Mapping[Provider, tuple[str, ...]]] = {
    Provider.QENCODE: ("transcode",),
    Provider.LIVEPEER: ("upload", "import", "export", "export-data", "transcode-file", "clip", OTHER),
}
"""Every task type, a provider at a time; the bound of the `task_type` label."""


class FailureReason(StrEnum):
    """Why a task failed, by class: the provider's own words are free text and never become a label."""

    SOURCE_DOWNLOAD = "source_download"
    SOURCE_MEDIA = "source_media"
    DESTINATION = "destination"
    RESOURCES = "resources"
    STITCH = "stitch"
    DRM = "drm"
    UNKNOWN = "unknown"


class Endpoint(StrEnum):
    """What we ask a provider for; the `endpoint` label of the API metrics."""

    QENCODE_API = "qencode_api"
    QENCODE_MASTER = "qencode_master"
    QENCODE_TOKENS = "qencode_tokens"
    LIVEPEER_LIST = "livepeer_list"
    LIVEPEER_TASK = "livepeer_task"


class ErrorReason(StrEnum):
    """Why a request to a provider brought nothing usable."""

    TIMEOUT = "timeout"
    CONNECTION = "connection"
    TLS = "tls"
    AUTH = "auth"
    RATE_LIMITED = "rate_limited"
    SERVER = "server"
    CLIENT = "client"
    INVALID_RESPONSE = "invalid_response"
    TOO_LARGE = "too_large"
    API = "api"


class Outcome(StrEnum):
    """How one poll of one account ended."""

    SUCCESS = "success"
    PARTIAL = "partial"
    ERROR = "error"
    DEADLINE = "deadline"
    SKIPPED = "skipped"


class Account(NamedTuple):
    """One configured credential or token list; the pair of labels that leads every account's metric."""

    provider: Provider
    name: str

    def __str__(self) -> str:
        return f"{self.provider}/{self.name}"


class MediaKind(StrEnum):
    """What kind of media an output is."""

    VIDEO = "video"
    AUDIO = "audio"
    IMAGE = "image"
    TEXT = "text"


Finite = Annotated[float, Meta(ge=-sys.float_info.max, le=sys.float_info.max)]
"""A number that is one, as far as msgspec has decoded it."""


class Media(Struct, frozen=True, array_like=True, gc=False):
    """Media of one kind that a task made. Stored by place, too.

    Attributes:
        kind: What it is.
        seconds: Its playing time, all outputs together.
        bytes: Its size, all outputs together.
    """

    kind: MediaKind
    seconds: Finite = 0.0
    bytes: Finite = 0.0


class Observation(Struct, frozen=True, array_like=True):
    """What one answer said about one task. It is stored by place: what is added goes to the end.

    Attributes:
        task: The provider's id of the task.
        task_type: One of the provider's types, or `other`.
        phase: The provider's own word.
        state: What the phase means.
        dated: The latest moment at which the task can have come into this state, as far as the provider
            (Livepeer's `status.updatedAt`) or our own watch over the token (Qencode) tells; by the clock of
            the page that the observation came with.
        progress: Ratio from 0 to 1; None if the answer does not tell.
        retries: Retries so far; None if the answer does not tell.
        warnings: Warnings attached so far.
        reason: The class of the failure; None unless the state is failed.
        message: The provider's words about an error, for people; "" if none.
        created, scheduled, updated, finished: The provider's times; None if it tells none.
        project, input_asset, output_asset: The provider's ids; "" if none.
        media: What a completed task made.
        labels: The custom labels of a Qencode token, by name.
        master: Where Qencode says to ask about the job from now on, unchecked; "" if it does not say.
    """

    task: str
    task_type: str
    phase: str
    state: State
    dated: Finite
    progress: Finite | None = None
    retries: int | None = None
    warnings: int = 0
    reason: FailureReason | None = None
    message: str = ""
    created: Finite | None = None
    scheduled: Finite | None = None
    updated: Finite | None = None
    finished: Finite | None = None
    project: str = ""
    input_asset: str = ""
    output_asset: str = ""
    media: tuple[Media, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    master: str = ""

    @property
    def awaits_file(self) -> bool:
        """Whether it waits for a person: a Livepeer upload is pending until its file comes, or for ever."""
        return self.task_type == "upload" and self.phase == "pending"


class Task(Struct, frozen=True, array_like=True):
    """What is known about one task: the newest observation, and what must outlive it. Stored by place, too.

    The times are seconds of the exporter's steady clock, but for `begun` and `entered`: these are in the
    clock that dates the task, the provider's if it tells times, else the steady one.

    Attributes:
        seen: The newest observation.
        retries: The last number of retries that the provider told; it drops the number on completion.
        changed: When phase or progress last changed.
        ended: From when `retention` counts; None while the task is active.
        begun: When the task was created; None if nobody knows.
        entered: When it entered its phase; None if nobody knows.
        history: It had ended when the account was first watched, and counts for nothing until it comes back.
    """

    seen: Observation
    retries: int | None
    changed: Finite
    ended: Finite | None = None
    begun: Finite | None = None
    entered: Finite | None = None
    history: bool = False

    @property
    def id(self) -> str:
        """The provider's id."""
        return self.seen.task


class Transition(Struct, frozen=True):
    """The step from what was known about a task to what is known now.

    Attributes:
        before: None when the task is new to us.
        after: What is known now.
        entered: The task entered its phase: for the first time, or again in a new attempt.
        retries: Retries that the provider made in between.
        warnings: Warnings that were attached in between.
        duration: Seconds from creation to the end, if the task has just ended and both are known.
        phase_duration: Seconds in the phase that it has just left, if it is known when it entered it.
    """

    before: Task | None
    after: Task
    entered: bool
    retries: int
    warnings: int
    duration: float | None = None
    phase_duration: float | None = None


class Clock(Protocol):
    """Where time comes from; passed down from the rim so that everything inside can be driven by a test."""

    def time(self) -> float:
        """Return the seconds since the epoch; the machine's clock may step."""

    def monotonic(self) -> float:
        """Return seconds since any moment, that never step."""

    def steady(self) -> float:
        """Return the seconds since the epoch as they were at the start of the process, and that never step.

        What is remembered has these times: intervals between them are true, and they are near enough to
        dates to be compared with those of an earlier process.
        """
