"""Failures to switch on: what the network and whatever stands before a provider can do to an answer."""

import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from threading import Lock
from typing import Any

from exporter.simulator.answer import Answer

OVERSIZE_BYTES = 41 * 1024 * 1024
BOMB_BYTES = 65 * 1024 * 1024


class FaultKind(StrEnum):
    """A way in which an answer goes wrong."""

    DELAY = "delay"
    HANG = "hang"
    DRIP = "drip"
    RATE_LIMITED = "rate_limited"
    SERVER_ERROR = "server_error"
    HTML_ERROR = "html_error"
    EMPTY = "empty"
    TRUNCATED_JSON = "truncated_json"
    WRONG_TYPES = "wrong_types"
    OVERSIZE = "oversize"
    GZIP_BOMB = "gzip_bomb"
    REDIRECT = "redirect"
    RESET = "reset"
    API_ERROR = "api_error"


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault and its measures; times are real seconds, whatever the simulated clock does.

    Attributes:
        kind: What goes wrong.
        seconds: How long `delay` waits; how long `hang` keeps silent before it closes the connection; the
            pause of `drip` before each byte of the body.
        status: HTTP status of `server_error`.
        retry_after: Seconds told by `rate_limited`, and by `api_error` if not None.
        location: Where `redirect` points.
        code: Qencode's error code for `api_error`.
        times: How many requests are hit; None for all until cleared.
    """

    kind: FaultKind
    seconds: float | None = None
    status: int = 500
    retry_after: int | None = None
    location: str = ""
    code: int = 1
    times: int | None = None

    @property
    def pause(self) -> float:
        """Real seconds, with each kind's own default."""
        if self.seconds is not None:
            return self.seconds
        return 3600.0 if self.kind is FaultKind.HANG else 1.0


class Faults:
    """The faults now switched on, by target; safe to share between threads.

    Targets are `qencode_api`, `qencode_master_1` and so on, `qencode_master` (all of them), `livepeer_list`,
    `livepeer_task`, `livepeer` (both) and `discovery`. The narrower target wins.
    """

    def __init__(self, targets: frozenset[str], groups: Mapping[str, str]) -> None:
        self._targets = targets | frozenset(groups.values())
        self._groups = groups
        self._faults: dict[str, Fault] = {}
        self._lock = Lock()

    def set(self, target: str, fault: Fault) -> None:
        """Switch a fault on, instead of any other at the target.

        Raises:
            ValueError: If there is no such target.
        """
        self._check(target)
        with self._lock:
            self._faults[target] = fault

    def clear(self, target: str | None = None) -> None:
        """Switch off the fault of a target, or all of them."""
        with self._lock:
            if target is None:
                self._faults.clear()
            else:
                self._check(target)
                self._faults.pop(target, None)

    def take(self, target: str) -> Fault | None:
        """Return the fault that hits a request to a target, and count it."""
        with self._lock:
            for name in (target, self._groups.get(target, "")):
                fault = self._faults.get(name)
                if fault is not None:
                    self._count(name, fault)
                    return fault
        return None

    def _count(self, name: str, fault: Fault) -> None:
        if fault.times is None:
            return
        if fault.times > 1:
            self._faults[name] = replace(fault, times=fault.times - 1)
        else:
            del self._faults[name]

    def _check(self, target: str) -> None:
        if target not in self._targets:
            raise ValueError(f"no target {target!r}; there are {', '.join(sorted(self._targets))}")


def spoiled(fault: Fault, healthy: Answer) -> Answer:
    """Return what a fault makes of an answer.

    Faults of timing and of the connection leave the answer itself as it is.
    """
    match fault.kind:
        case FaultKind.RATE_LIMITED:
            retry = 1 if fault.retry_after is None else fault.retry_after
            return _json(429, {"errors": ["too many requests"]}, ("Retry-After", str(retry)))
        case FaultKind.SERVER_ERROR:
            return _json(fault.status, {"errors": ["Internal server error: error"]})
        case FaultKind.HTML_ERROR:
            return Answer(502).with_body(_BAD_GATEWAY, Server="nginx", Content_Type="text/html")
        case FaultKind.EMPTY:
            return Answer(200).with_body(b"")
        case FaultKind.TRUNCATED_JSON:
            return healthy.with_body(healthy.body[: len(healthy.body) // 2])
        case FaultKind.WRONG_TYPES:
            body = json.dumps(_mistyped(json.loads(healthy.body or b"null"))).encode()
            return healthy.with_body(body)
        case FaultKind.GZIP_BOMB:
            return Answer(200).with_body(_bomb(), Content_Type="application/json", Content_Encoding="gzip")
        case FaultKind.REDIRECT:
            return Answer(302, (("Location", fault.location),)).with_body(b"")
        case FaultKind.API_ERROR:
            return _api_error(fault)
        case _:
            return healthy


def _json(status: int, content: object, *headers: tuple[str, str]) -> Answer:
    body = json.dumps(content, separators=(",", ":")).encode()
    return Answer(status, headers).with_body(body, Content_Type="application/json; charset=utf-8")


def _api_error(fault: Fault) -> Answer:
    content: dict[str, object] = {"error": fault.code, "message": f"error {fault.code}"}
    if fault.retry_after is not None:
        content["retry_after"] = fault.retry_after
    return _json(200, content)


def _mistyped(value: Any) -> Any:
    """Return a document of the same outline in which no value has the type it should have."""
    match value:
        case dict():
            return {key: _mistyped(item) for key, item in value.items()}
        case list():
            return [_mistyped(item) for item in value] or "none"
        case str():
            return [len(value)]
        case None:
            return {"null": True}
        case _:
            return f"about {value}"


@cache
def _bomb() -> bytes:
    return gzip.compress(b"[" + b" " * BOMB_BYTES + b"]", mtime=0)


_BAD_GATEWAY = (
    b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n"
    b"<center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
)
