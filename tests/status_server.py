"""A plain HTTP server for answers that the simulator does not give."""

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs

Answering = Callable[[Sequence[str]], bytes]
"""Given the tokens of a call, the body of the answer."""


class StatusServer(ThreadingHTTPServer):
    """Answers `POST /v1/status` as a test says, and remembers what was asked.

    Attributes:
        answering: Makes the answers; may be changed at any time.
        status: The HTTP status of the answers.
        calls: The tokens of each call.
        connections: How many were accepted.
    """

    daemon_threads = True

    def __init__(self, answering: Answering, host: str = "127.0.0.1") -> None:
        super().__init__((host, 0), _Handler)
        self.answering = answering
        self.status = 200
        self.calls: list[tuple[str, ...]] = []
        self.connections = 0
        self._thread = threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://{self.server_address[0]!s}:{self.server_port}"

    def get_request(self) -> tuple[Any, Any]:
        self.connections += 1
        return super().get_request()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: StatusServer
    protocol_version = "HTTP/1.1"
    timeout = 5

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        tokens = tuple(form["task_tokens"][0].split(","))
        self.server.calls.append(tokens)
        found = self.path == "/v1/status"
        body = self.server.answering(tokens) if found else b""
        self.send_response(self.server.status if found else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def statuses(**by_token: Mapping[str, object]) -> bytes:
    """The answer that holds these status objects."""
    return json.dumps({"error": 0, "statuses": by_token}).encode()
