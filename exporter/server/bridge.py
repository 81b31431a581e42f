"""From the event loop to the pages: a request takes a thread only when all of it has come.

The loop reads and writes, waits for whoever is slow, and answers for our health. Everything else is done in
threads, of which some only look at passwords. Who may not ask is refused before its body is read.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Collection, Iterator, MutableMapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import structlog

from exporter.server.gate import Gate, later, with_ours
from exporter.server.seats import Limits, Seat
from exporter.server.work import BusyError, Doormen, LeftError, work
from exporter.server.wsgi import MAX_BODY, Answer, Scope, call, environment, headers, path

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

THREADS: Final = 24
"""Requests at once; more than there may be scrapes that wait for polls."""

_NAME: Final = "transcoding-exporter"
_PIECE: Final = 64 * 1024
_LINGER: Final = 1.0
"""Seconds in which who is still sending can read why we want no more; if we just hung up, it could not."""

_log = structlog.get_logger()


class _UnwantedError(Exception):
    """What comes won't be read to its end."""

    def __init__(self, status: HTTPStatus, words: str) -> None:
        super().__init__(words)
        self.status = status


class Bridge:
    """An ASGI application that lets a WSGI application answer."""

    def __init__(
        self, app: "WSGIApplication", gate: Gate, *, health: Collection[str], api: str, limits: Limits
    ) -> None:
        """Start no thread yet.

        Args:
            app: What answers.
            gate: Who may ask.
            health: The paths that are answered even if all threads are busy; they may not take any time.
            api: How the paths begin under which an error is told in JSON.
            limits: In which a body has to come, and answers have to be taken.
        """
        self._app = app
        self._gate = gate
        self._health = frozenset(health)
        self._api = api
        self._limits = limits
        self._workers = ThreadPoolExecutor(THREADS, "request")
        self._doormen = Doormen()
        self._unsent: dict[Seat, int] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        try:
            answer = await self._refusal(scope) or await self._answer(scope, receive)
        except LeftError:
            return
        except _UnwantedError as error:
            answer = self._failure(scope, error.status, str(error), last=True)
        except Exception:  # noqa: BLE001 - the next request must find us well
            # The path is not logged: a token can stand in it.
            _log.exception("request ended by a bug, please report it")
            answer = self._failure(scope, HTTPStatus.INTERNAL_SERVER_ERROR, "a bug; the log says more")
        await self._deliver(answer, scope, receive, send)

    def close(self) -> None:
        """Begin no request any more; nobody is waited for."""
        self._workers.shutdown(wait=False, cancel_futures=True)
        self._doormen.close()

    async def _refusal(self, scope: Scope) -> Answer | None:
        """Return the answer to who is not let in."""
        told, seat = headers(scope), _seat(scope)
        authorization = told.get("authorization")
        if self._gate.known(authorization):
            refusal = self._gate.refusal(authorization)
        else:
            client = scope["client"][0] if scope["client"] else ""
            try:
                refusal = await self._doormen.look(
                    client, seat.left, lambda: self._gate.refusal(authorization)
                )
            except BusyError:
                refusal = later(1)
        if refusal is None:
            return None
        head = (("Content-Type", "text/plain; charset=utf-8"), *refusal.headers)
        # What of the body is still to come is not waited for.
        last = "transfer-encoding" in told or int(told.get("content-length", 0)) > 0
        return Answer(refusal.status, head, [f"{refusal.words}\n".encode()], last)

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        too_large = _UnwantedError(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is larger than {MAX_BODY} bytes"
        )
        told = headers(scope)
        if "content-length" in told and "transfer-encoding" in told:
            # A proxy may have believed the other one, and then what follows is no request.
            raise _UnwantedError(HTTPStatus.BAD_REQUEST, "the length of the body is told in two ways")
        if int(told.get("content-length", 0)) > MAX_BODY:
            raise too_large
        body, more = bytearray(), True
        try:
            async with asyncio.timeout(self._limits.body):
                while more:
                    message = await receive()
                    if message["type"] != "http.request":
                        raise LeftError
                    body += message["body"]
                    more = message["more_body"]
                    if len(body) > MAX_BODY:
                        raise too_large
        except TimeoutError:
            raise _UnwantedError(HTTPStatus.REQUEST_TIMEOUT, "the body did not come in time") from None
        return bytes(body)

    async def _answer(self, scope: Scope, receive: Receive) -> Answer:
        environ = environment(scope, await self._body(scope, receive))
        if path(scope) in self._health:
            # At once, in this thread: another one would have to compete with all that are at work.
            return call(self._app, environ)
        # All of the body is here: what comes now is that it has left. Asked for, or it would not be read.
        left = asyncio.ensure_future(receive())
        try:
            return await work(self._workers, left, lambda: call(self._app, environ))
        finally:
            left.cancel()

    def _failure(self, scope: Scope, status: HTTPStatus, words: str, *, last: bool = False) -> Answer:
        if path(scope).startswith(self._api):
            kind, text = "application/json", json.dumps({"error": words})
        else:
            kind, text = "text/plain; charset=utf-8", f"{words}\n"
        return Answer(status, (("Content-Type", kind),), [text.encode()], last)

    async def _deliver(self, answer: Answer, scope: Scope, receive: Receive, send: Send) -> None:
        seat = _seat(scope)
        self._unsent[seat] = answer.length
        self._make_room()
        try:
            await send(
                {"type": "http.response.start", "status": answer.status, "headers": self._head(answer)}
            )
            for parcel in _parcels(answer.body):
                await send(_piece(parcel, more=True))
            if answer.last:
                await _linger(receive)
            await send(_piece(b"", more=False))
        finally:
            self._unsent.pop(seat, None)

    def _head(self, answer: Answer) -> list[tuple[bytes, bytes]]:
        found = [*answer.headers, ("Date", formatdate(usegmt=True)), ("Server", _NAME)]
        if not any(name.lower() == "content-length" for name, _ in found):
            found.append(("Content-Length", str(answer.length)))
        if answer.last:
            found.append(("Connection", "close"))
        return with_ours(found, self._gate.headers)

    def _make_room(self) -> None:
        while len(self._unsent) > 1 and sum(self._unsent.values()) > self._limits.unsent:
            oldest = next(iter(self._unsent))
            del self._unsent[oldest]
            oldest.end()


def _seat(scope: Scope) -> Seat:
    seat: Seat = scope["state"]["seat"]
    return seat


async def _linger(receive: Receive) -> None:
    try:
        async with asyncio.timeout(_LINGER):
            while (await receive())["type"] == "http.request":
                pass
    except TimeoutError:
        pass


def _parcels(body: Sequence[bytes]) -> Iterator[bytes]:
    """Yield a body in parcels of one size; its parts are never joined, they may be large."""
    parcel = bytearray()
    for part in body:
        rest = memoryview(part)
        while len(parcel) + len(rest) >= _PIECE:
            room = _PIECE - len(parcel)
            yield bytes(parcel) + rest[:room]
            parcel.clear()
            rest = rest[room:]
        parcel += rest
    if parcel:
        yield bytes(parcel)


def _piece(body: bytes, *, more: bool) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": more}
