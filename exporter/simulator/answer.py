"""HTTP requests as received and answers as sent, free of sockets."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from urllib.parse import parse_qsl


@dataclass(frozen=True, slots=True)
class Request:
    """One request that the simulator received, and what became of it.

    Attributes:
        target: Which part of the simulator was asked, e.g. `qencode_api` or `livepeer_list`.
        method: The HTTP method.
        path: The path, without the query.
        raw_query: The query as sent.
        headers: The headers, names in lower case.
        body: The body as sent.
        status: The HTTP status of the answer; 0 if none was given.
        sent_bytes: Bytes of the answer, head included.
    """

    target: str
    method: str
    path: str
    raw_query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    status: int = 0
    sent_bytes: int = 0

    @property
    def query(self) -> dict[str, str]:
        """The query's parameters; a repeated one is joined by commas, as Livepeer's server does."""
        return _joined(self.raw_query)

    @property
    def form(self) -> dict[str, str]:
        """The fields of an `application/x-www-form-urlencoded` body."""
        return _joined(self.body.decode("utf-8", "replace"))


def _joined(text: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        fields[name] = f"{fields[name]},{value}" if name in fields else value
    return fields


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer.

    Attributes:
        status: The HTTP status.
        headers: Names and values in the order of sending, without those that belong to the connection.
        body: The body.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def header(self, name: str) -> str | None:
        """Return the value of a header, whatever the case of its name; None if there is none."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def with_body(self, body: bytes, **headers: str) -> "Answer":
        """Return the answer with another body, its Content-Length, and more headers (`_` stands for `-`)."""
        added = {name.replace("_", "-"): value for name, value in headers.items()}
        dropped = {"content-length", *(name.lower() for name in added)}
        kept = [(name, value) for name, value in self.headers if name.lower() not in dropped]
        return replace(self, headers=(*kept, *added.items(), ("Content-Length", str(len(body)))), body=body)

    def head(self, connection: Mapping[str, str]) -> bytes:
        """Return the status line and headers as they go over the wire.

        Args:
            connection: The headers that belong to the connection, sent last.
        """
        return "".join(f"{line}\r\n" for line in self._lines(connection)).encode("latin-1") + b"\r\n"

    def _lines(self, connection: Mapping[str, str]) -> Iterator[str]:
        yield f"HTTP/1.1 {self.status} {_reason(self.status)}"
        for name, value in (*self.headers, *connection.items()):
            yield f"{name}: {value}"


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
