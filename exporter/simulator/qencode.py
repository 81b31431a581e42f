"""Qencode's API for jobs: api.qencode.com and the masters.

It follows the vendor's pages on `/v1/status` and its official Python client `qencode3`. Of the calls that
create jobs there is what that client needs. Texts of errors are not documented; their codes are.
"""

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Any

from exporter.simulator.answer import Answer, Request
from exporter.simulator.qencode_life import QencodeJob
from exporter.simulator.qencode_status import QencodeStatus
from exporter.simulator.qencode_wire import (
    api_status,
    api_statuses,
    master_status,
    master_statuses,
    php_json,
)
from exporter.simulator.qencode_world import QencodeWorld

_TOKEN = re.compile(r"[0-9a-zA-Z-]{8,64}")
_DISCOVERY_SECONDS = 2 * 3600.0
_TOKEN_SECONDS = 24 * 3600.0

BAD_TOKEN, TOKEN_NOT_FOUND, BUSY, BAD_PAYLOAD, BAD_TOKENS, FIELD_REQUIRED = 4, 5, 8, 9, 13, 14
_MESSAGES = {
    BAD_TOKEN: "Token is not valid",
    TOKEN_NOT_FOUND: "Token not found or expired",
    BUSY: "System is busy, try again later",
    BAD_PAYLOAD: "Payload is not valid",
    BAD_TOKENS: "task_tokens is not valid",
}


class ApiError(Exception):
    """An error that the API tells in its answer, with HTTP status 200."""

    def __init__(self, code: int, message: str | None = None, retry_after: int | None = None) -> None:
        super().__init__(code)
        self.content: dict[str, object] = {"error": code, "message": message or _MESSAGES[code]}
        if retry_after is not None:
            self.content["retry_after"] = retry_after


class _StatusCall:
    """What the status calls of both kinds of hosts have in common."""

    def __init__(self, world: QencodeWorld) -> None:
        self._world = world
        self._asked: dict[str, float] = {}
        self._lock = Lock()

    def jobs(self, request: Request) -> dict[str, QencodeJob]:
        """Return the jobs that a request asks about.

        Raises:
            ApiError: If the request is not valid, or comes too soon.
        """
        text = required(request.form, "task_tokens")
        tokens = [token.strip() for token in text.split(",")]
        if not all(_TOKEN.fullmatch(token) for token in tokens):
            raise ApiError(BAD_TOKENS)
        jobs = self._world.find(tokens)
        if self._world.quirks.unknown_fails and len(jobs) < len(set(tokens)):
            raise ApiError(BAD_TOKENS)
        self._check_pace(jobs)
        return jobs

    def _check_pace(self, jobs: Mapping[str, QencodeJob]) -> None:
        interval = self._world.quirks.min_interval
        if not interval:
            return
        now = self._world.now()
        with self._lock:
            waits = [self._asked[token] + interval - now for token in jobs if token in self._asked]
            if any(wait > 0 for wait in waits):
                raise ApiError(BUSY, retry_after=math.ceil(max(waits)))
            self._asked = {token: at for token, at in self._asked.items() if at + interval > now}
            self._asked.update(dict.fromkeys(jobs, now))


class QencodeApi:
    """api.qencode.com, and the simulator's own list of tokens at `/discovery/tokens`.

    Args:
        world: The jobs.
        master_urls: The base URLs of the masters, in order; filled in once they are known.
    """

    def __init__(self, world: QencodeWorld, master_urls: Sequence[str]) -> None:
        self._world = world
        self._master_urls = master_urls
        self._status_call = _StatusCall(world)
        self._calls: Mapping[str, Callable[[Request], bytes]] = {
            "/v1/status": self._status,
            "/v1/access_token": self._access_token,
            "/v1/create_task": self._create_task,
            "/v1/start_encode": self._start_encode,
            "/v1/start_encode2": self._start_encode2,
        }

    def target(self, path: str) -> str:
        """Return `discovery` for the list of tokens, else `qencode_api`."""
        return "discovery" if path == "/discovery/tokens" else "qencode_api"

    def answer(self, request: Request) -> Answer:
        """Return what the host answers."""
        # The official client asks for `//v1/status` when its base URL ends in a slash, as its default does.
        path = re.sub("/+", "/", request.path)
        if path == "/discovery/tokens":
            return _found(self._discovery()) if request.method in {"GET", "HEAD"} else _refused(405)
        call = self._calls.get(path)
        return _refused(404) if call is None else _called(request, call)

    def _status(self, request: Request) -> bytes:
        jobs = self._status_call.jobs(request)
        quirks = self._world.quirks
        now = self._world.now()
        statuses = {}
        for token, job in jobs.items():
            status = job.timeline.at(now - quirks.api_lag) or job.timeline.first
            statuses[token] = api_status(status, self._status_url(job, status, now))
        return api_statuses(statuses)

    def _status_url(self, job: QencodeJob, status: QencodeStatus, now: float) -> str | None:
        """A job that was not started has no master yet; one long over has none any more."""
        if status.phase == "created" or _released(status, now, self._world.quirks.master_keeps):
            return None
        return f"{self._master_urls[job.master - 1]}/v1/status"

    def _access_token(self, request: Request) -> bytes:
        if required(request.form, "api_key") != self._world.api_key:
            raise ApiError(BAD_TOKEN)
        expire = datetime.fromtimestamp(self._world.now(), UTC) + timedelta(seconds=_TOKEN_SECONDS)
        return php_json({"error": 0, "token": _session(self._world), "expire": f"{expire:%Y-%m-%d %H:%M:%S}"})

    def _create_task(self, request: Request) -> bytes:
        if required(request.form, "token") != _session(self._world):
            raise ApiError(TOKEN_NOT_FOUND)
        upload_url = "https://storage.qencode.com/v1/upload_file"
        return php_json({"error": 0, "upload_url": upload_url, "task_token": self._world.add()})

    def _start_encode2(self, request: Request) -> bytes:
        try:
            query = json.loads(required(request.form, "query"))["query"]
            complete = bool(query["source"] and query["format"])
        except (ValueError, KeyError, TypeError):
            raise ApiError(BAD_PAYLOAD) from None
        if not complete:
            raise ApiError(BAD_PAYLOAD)
        return self._start(request)

    def _start_encode(self, request: Request) -> bytes:
        required(request.form, "profiles")
        if not request.form.get("stitch"):
            required(request.form, "uri")
        return self._start(request)

    def _start(self, request: Request) -> bytes:
        token = required(request.form, "task_token")
        job = self._world.find([token]).get(token)
        if job is None:
            raise ApiError(TOKEN_NOT_FOUND)
        self._world.start(token)
        return php_json({"error": 0, "status_url": f"{self._master_urls[job.master - 1]}/v1/status"})

    def _discovery(self) -> bytes:
        """The last two hours' tokens in the format of Prometheus' http_sd; Qencode has nothing like it."""
        groups: dict[tuple[tuple[str, str], ...], list[str]] = {}
        for job in self._world.recent(_DISCOVERY_SECONDS):
            groups.setdefault(tuple(sorted(job.labels.items())), []).append(job.token)
        content = [{"targets": tokens, "labels": dict(labels)} for labels, tokens in groups.items()]
        return json.dumps(content).encode()


class QencodeMaster:
    """One master: the authority on the jobs that run there, and ignorant of all others.

    Args:
        world: The jobs.
        number: Its number, from 1.
        master_urls: The base URLs of the masters, in order.
    """

    def __init__(self, world: QencodeWorld, number: int, master_urls: Sequence[str]) -> None:
        self._world = world
        self._number = number
        self._master_urls = master_urls
        self._status_call = _StatusCall(world)

    def target(self, path: str) -> str:
        """Return `qencode_master_` and its number."""
        return f"qencode_master_{self._number}"

    def answer(self, request: Request) -> Answer:
        """Return what the host answers."""
        return _called(request, self._status) if request.path == "/v1/status" else _refused(404)

    def _status(self, request: Request) -> bytes:
        now = self._world.now()
        own_url = f"{self._master_urls[self._number - 1]}/v1/status"
        statuses = {}
        for token, job in self._status_call.jobs(request).items():
            status = job.timeline.at(now)
            if status is not None and self._knows(job, status, now):
                statuses[token] = master_status(status, own_url)
        return master_statuses(statuses)

    def _knows(self, job: QencodeJob, status: QencodeStatus, now: float) -> bool:
        started = status.phase != "created"
        return (
            job.master == self._number
            and started
            and not _released(status, now, self._world.quirks.master_keeps)
        )


def required(form: Mapping[str, str], name: str) -> str:
    """Return a field of a form.

    Raises:
        ApiError: With code 14, if it is missing or empty.
    """
    value = form.get(name, "")
    if not value:
        raise ApiError(FIELD_REQUIRED, f"Field {name} is required")
    return value


def _released(status: QencodeStatus, now: float, keeps: float | None) -> bool:
    return keeps is not None and status.ended and now - status.at > keeps


def _session(world: QencodeWorld) -> str:
    return f"session-{world.api_key}"


def _called(request: Request, call: Callable[[Request], bytes]) -> Answer:
    if request.method != "POST":
        return _refused(405)
    try:
        return _found(call(request))
    except ApiError as error:
        return _found(php_json(error.content))


def _found(body: bytes) -> Answer:
    return Answer(200, (("Server", "nginx"),)).with_body(body, Content_Type="application/json")


def _refused(status: int) -> Answer:
    body: dict[str, Any] = {"error": 1, "message": "Not Found" if status == 404 else "Method Not Allowed"}
    return Answer(status, (("Server", "nginx"),)).with_body(php_json(body), Content_Type="application/json")
