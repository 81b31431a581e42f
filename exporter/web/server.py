"""The HTTP server: cheroot's threads around the application."""

import socket
from typing import Final

from cheroot.wsgi import Server
from flask import Flask

THREADS: Final = 32
"""Requests at once; a scrape holds one until its polls are done."""

_MAX_HEADER: Final = 64 * 1024
_MAX_BODY: Final = 1024 * 1024
"""Bytes of a body that the server itself refuses; the application refuses smaller ones, in better words."""


class InvalidAddressError(ValueError):
    """A listen address that can't be understood."""


class ListenError(OSError):
    """A listen address that can't be used."""


def parse_address(address: str) -> tuple[str, int]:
    """Read `host:port`, `:port` or `[ipv6]:port`.

    Raises:
        InvalidAddressError: it is none of them.

    >>> parse_address("127.0.0.1:10477")
    ('127.0.0.1', 10477)
    """
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535 or (":" in host and not host.startswith("[")):
        raise InvalidAddressError(f"{address!r} is not an address; write it like :10477 or 127.0.0.1:10477")
    return host.strip("[]"), int(port)


def create_server(app: Flask, address: tuple[str, int]) -> Server:
    """Return a server that is bound to the address and ready to `serve()`.

    Raises:
        ListenError: the address can't be bound.
    """
    host, port = address
    everywhere = "::" if socket.has_dualstack_ipv6() else "0.0.0.0"  # noqa: S104 - what `:port` asks for
    server = Server(
        (host or everywhere, port),
        app,
        numthreads=THREADS,
        server_name="transcoding-exporter",
    )
    server.max_request_header_size = _MAX_HEADER
    server.max_request_body_size = _MAX_BODY
    try:
        server.prepare()
    except OSError as error:
        # cheroot buries the cause: "... -- (('127.0.0.1', 80): [Errno 13] Permission denied)".
        cause = str(error).rpartition("] ")[2].rstrip(")")
        raise ListenError(f"can't listen on {host}:{port}: {cause}") from error
    return server
