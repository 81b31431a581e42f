"""Qencode: how to read an answer of `/v1/status`. Pure functions.

The wire is looser than the documentation: numbers come as text, flags as text, lists are missing, and an
empty object is an empty list (it is written by PHP).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

import msgspec

from exporter.model import PHASES, Media, Observation, Provider, State
from exporter.providers.decoding import decode
from exporter.providers.failures import classify, readable
from exporter.providers.qencode_media import LISTS, media
from exporter.providers.qencode_tokens import Watched
from exporter.providers.words import MAX_PHASE, plain

_PHASES: Final = PHASES[Provider.QENCODE]
_MAX_URL: Final = 512
_FLAGS: Final = {"": 0, "false": 0, "no": 0, "none": 0, "null": 0, "true": 1, "yes": 1}

# How far a job is; downloading and queued come in either order.
_STEPS: Final = {
    "created": 0,
    "queued": 1,
    "started": 1,
    "downloading": 1,
    "encoding": 2,
    "processing": 2,
    "saving": 3,
}


class Verdict(Enum):
    """What an API-level error calls for (Qencode's API digest, "error codes")."""

    RETRY = "an internal error that tends to pass"
    NARROW = "at least one token of the call is refused"
    GIVE_UP = "the account is refused as a whole"
    WAIT = "asked too often"
    REPORT = "the call itself is wrong"
    TROUBLE = "a code that we do not know"


_VERDICTS: Final[Mapping[int, Verdict]] = {
    1: Verdict.RETRY,
    7: Verdict.RETRY,
    4: Verdict.NARROW,
    5: Verdict.NARROW,
    13: Verdict.NARROW,
    6: Verdict.GIVE_UP,
    8: Verdict.WAIT,
    14: Verdict.REPORT,
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that is an API-level error.

    Attributes:
        code: Qencode's number.
        verdict: What it calls for.
        message: Qencode's words.
        retry_after: Seconds to wait, if it says so.
    """

    code: int
    verdict: Verdict
    message: str
    retry_after: float | None


@dataclass(frozen=True, slots=True)
class Statuses:
    """An answer about tokens.

    Attributes:
        observations: By token; a token that is not in here is not known where we asked.
        malformed: What is wrong with each status that could not be read, by token.
    """

    observations: Mapping[str, Observation] = field(default_factory=dict)
    malformed: Mapping[str, str] = field(default_factory=dict)


class _Envelope(msgspec.Struct):
    error: int | str | bool | None = 0
    statuses: dict[str, msgspec.Raw] | list[msgspec.Raw] | None = None
    message: object = None
    error_description: object = None
    retry_after: object = None


class _Status(msgspec.Struct):
    status: str
    percent: float | str | None = None
    error: int | str | bool | None = 0
    error_description: object = None
    status_url: object = None
    warnings: object = None
    videos: object = None
    audios: object = None
    images: object = None
    texts: object = None


_envelope: Final = msgspec.json.Decoder(_Envelope)
_status: Final = msgspec.json.Decoder(_Status)


def read(body: bytes, watched: Mapping[str, Watched]) -> Statuses | Refusal:
    """Read one answer.

    Args:
        body: The answer of `/v1/status`.
        watched: The tokens of the call. Nothing that the answer says about other tokens is taken.

    Raises:
        msgspec.DecodeError: the answer is not the JSON that it should be.
    """
    envelope = decode(_envelope, body)
    code = _code(envelope.error)
    if code is None:
        raise msgspec.ValidationError("`error` is neither a number nor a flag")
    if code:
        return Refusal(
            code=code,
            verdict=_VERDICTS.get(code, Verdict.TROUBLE),
            message=_text(envelope.message) or _text(envelope.error_description),
            retry_after=_number(envelope.retry_after),
        )
    if envelope.statuses is None:
        raise msgspec.ValidationError("neither `statuses` nor an error code")
    found = envelope.statuses if isinstance(envelope.statuses, dict) else {}
    observations, malformed = {}, {}
    for token in watched:
        raw = found.get(token)
        if raw is None or bytes(raw) == b"null":
            continue
        try:
            status = decode(_status, raw)
        except msgspec.DecodeError as error:
            malformed[token] = str(error)
            continue
        observations[token] = observe(token, status, watched[token])
    return Statuses(observations, malformed)


def lags(seen: Observation, known: Observation) -> bool:
    """Return whether an answer of api.qencode.com is behind what the job's master has told.

    A job only goes forward, and the masters are ahead of api.qencode.com. Only what is certain counts as
    behind: downloading and queued, for example, come in either order.
    """
    if seen.state is not known.state and seen.state.terminal:
        return False
    if (seen.phase, seen.state) == (known.phase, known.state):
        return known.progress is not None and (seen.progress is None or seen.progress < known.progress)
    before, after = _STEPS.get(known.phase), _STEPS.get(seen.phase)
    return before is not None and after is not None and after < before


def observe(token: str, status: _Status, watched: Watched) -> Observation:
    """Say in our words what one status object tells."""
    phase = plain(status.status.lower(), MAX_PHASE) or State.UNKNOWN
    # A job can stop with `status: encoding, error: 1`: the flag outweighs the word.
    failed = _code(status.error) != 0
    state = State.FAILED if failed else _PHASES.get(phase, State.UNKNOWN)
    message = readable(status.error_description)
    return Observation(
        task=token,
        task_type="transcode",
        phase=phase,
        state=state,
        dated=watched.since,
        progress=1.0 if state is State.COMPLETED else _ratio(status.percent),
        # A retry is a new job under a new token; the old one ends as `restarted`.
        retries=int(phase == "restarted"),
        # PHP writes a list with a gap as an object.
        warnings=len(status.warnings) if isinstance(status.warnings, list | dict) else 0,
        reason=classify(message) if state is State.FAILED else None,
        message=message,
        media=_media(status) if state is State.COMPLETED else (),
        labels=watched.labels,
        master=_text(status.status_url)[:_MAX_URL],
    )


def _media(status: _Status) -> tuple[Media, ...]:
    return media({name: getattr(status, name) for name in LISTS})


def _ratio(percent: float | str | None) -> float | None:
    number = _number(percent)
    return None if number is None else min(max(number / 100, 0.0), 1.0)


def _number(value: object) -> float | None:
    """Read a number that may come as text; None if there is none in it."""
    if not isinstance(value, float | int | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _code(error: int | str | None) -> int | None:
    """Read an error flag or code: 0 is none; None stands for words, which are an error without a number."""
    if isinstance(error, str):
        error = _FLAGS.get(error.strip().lower(), error)
    number = _number(error or 0)
    return None if number is None else int(number)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
