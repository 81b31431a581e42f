"""Where to listen: addresses as people write them, and sockets that are bound to them."""

import errno
import os
import re
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

BACKLOG: Final = 1024
"""Connections that the system accepts before we do."""

_UNIX: Final = "unix:"

_TCP: Final = re.compile(r"(\[[^\[\]]+\]|[^\[\]:]*):([^:]*)")
_PORT: Final = re.compile("[0-9]{1,9}")
_MAX_PORT: Final = 65535
_NUMERIC: Final = re.compile(r"[0-9.]+|.*:.*")
_MAX_UNIX: Final = 107
"""Bytes of the path of a unix socket, to Linux."""

_HINT: Final = "write it like :10477 or 127.0.0.1:10477, or unix:/run/exporter.sock"


class InvalidAddressError(ValueError):
    """A listen address that can't be understood."""


class ListenError(OSError):
    """A listen address that can't be used."""


@dataclass(frozen=True, slots=True)
class TcpAddress:
    """A host and a port; without a host every address of the machine, with port 0 any that is free."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """The path of a unix socket."""

    path: Path

    def __str__(self) -> str:
        return f"{_UNIX}{self.path}"


Address = TcpAddress | UnixAddress


def parse_address(text: str) -> Address:
    """Read `host:port`, `:port`, `[ipv6]:port` or `unix:/path`.

    Raises:
        InvalidAddressError: it is none of them.

    >>> parse_address("127.0.0.1:10477")
    TcpAddress(host='127.0.0.1', port=10477)
    """
    if text.startswith(_UNIX):
        path = text.removeprefix(_UNIX)
        if not path or path.endswith("/"):
            raise InvalidAddressError(f"{text!r} is not an address; {_HINT}")
        if len(os.fsencode(path)) > _MAX_UNIX:
            raise InvalidAddressError(
                f"{text!r} has a path of more than {_MAX_UNIX} bytes; name a shorter one"
            )
        return UnixAddress(Path(path))
    match = _TCP.fullmatch(text)
    if not match:
        raise InvalidAddressError(f"{text!r} is not an address; {_HINT}")
    host, port = match.groups()
    try:
        # As the resolver does: it has no better word for a name that is none than UnicodeError.
        host.encode("idna")
    except UnicodeError:
        raise InvalidAddressError(f"{text!r} has no name of a host; {_HINT}") from None
    if not _PORT.fullmatch(port) or int(port) > _MAX_PORT:
        raise InvalidAddressError(f"{text!r} has no port from 0 to {_MAX_PORT}; {_HINT}")
    host = host.strip("[]")
    if _NUMERIC.fullmatch(host) and not _is_numeric(host):
        raise InvalidAddressError(f"{text!r} has no IP address before the port; {_HINT}")
    return TcpAddress(host, int(port))


def _is_numeric(host: str) -> bool:
    try:
        # Which networks there are (fe80::1%eth0) is another question.
        socket.getaddrinfo(host.partition("%")[0], None, flags=socket.AI_NUMERICHOST)
    except (socket.gaierror, UnicodeError):
        return False
    return True


def parse_addresses(texts: Sequence[str]) -> Sequence[Address]:
    """Read addresses, of which one text may hold several, with commas or blanks between them.

    Raises:
        InvalidAddressError: there is none, or one that is none, or is there twice.

    >>> [str(address) for address in parse_addresses([":80, [::1]:81", ":82"])]
    [':80', '[::1]:81', ':82']
    """
    addresses = [parse_address(word) for text in texts for word in re.split(r"[,\s]+", text) if word]
    if not addresses:
        raise InvalidAddressError(f"there is no address; {_HINT}")
    for index, address in enumerate(addresses):
        # With port 0, each finds a port of its own.
        any_port = isinstance(address, TcpAddress) and not address.port
        if address in addresses[:index] and not any_port:
            raise InvalidAddressError(f"{str(address)!r} is given twice; remove one of them")
    return addresses


def refusals(addresses: Sequence[Address]) -> Iterator[ListenError]:
    """Return why nobody can listen on some of the addresses; whether one is in use is not looked at."""
    for address in addresses:
        try:
            # A folder that is lacking may be made at the start, as systemd does (`RuntimeDirectory=`).
            if isinstance(address, UnixAddress) and address.path.parent.exists():
                _refuse_other(address.path)
        except PermissionError:
            # Who serves may be another user.
            continue
        except OSError as error:
            yield _refusal(address, error)


@dataclass(frozen=True, slots=True)
class Listener:
    """A socket that listens, and where: with port 0, the address tells the one that was found."""

    socket: socket.socket
    address: Address

    @property
    def reachable(self) -> str:
        """Where a person on this machine finds it: `localhost:10477`."""
        match self.address:
            case TcpAddress("::" | "0.0.0.0", port):  # noqa: S104 - compared, not bound
                return f"localhost:{port}"
            case address:
                return str(address)

    def withdraw(self) -> None:
        """Let nobody find it any more: a unix socket leaves the file system.

        While it still listens: a successor replaces a socket that nobody listens on, and its own must stay.
        """
        if isinstance(self.address, UnixAddress):
            self.address.path.unlink(missing_ok=True)


def listen(addresses: Sequence[Address]) -> Sequence[Listener]:
    """Listen on all addresses, or on none.

    Raises:
        ListenError: one can't be used.
    """
    listeners: list[Listener] = []
    for address in addresses:
        try:
            listeners.append(_listen(address))
        except OSError as error:
            for listener in listeners:
                listener.withdraw()
                listener.socket.close()
            raise _refusal(address, error) from error
    return listeners


def _listen(address: Address) -> Listener:
    match address:
        case TcpAddress():
            bound = _bind(address)
            # Each connection inherits it; asyncio sets it only where the socket was made for TCP by name.
            bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            host, port = bound.getsockname()[:2]
            return Listener(bound, TcpAddress(host, port))
        case UnixAddress(path):
            _refuse_other(path)
            _remove_stale(path)
            bound = socket.socket(socket.AF_UNIX)
            try:
                bound.bind(str(path))
                bound.listen(BACKLOG)
            except OSError:
                bound.close()
                raise
            return Listener(bound, address)


def _bind(address: TcpAddress) -> socket.socket:
    if not address.host and socket.has_dualstack_ipv6():
        return socket.create_server(
            ("::", address.port), family=socket.AF_INET6, backlog=BACKLOG, dualstack_ipv6=True
        )
    # Of a name with several addresses, the first: as Prometheus' own exporters do.
    found = socket.getaddrinfo(
        address.host or None, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    family, _, _, _, place = found[0]
    # Whole: a link-local address means nothing without its network.
    return socket.create_server(place, family=family, backlog=BACKLOG)


def _refuse_other(path: Path) -> None:
    """Raise OSError for a path at which no socket can be."""
    if not path.parent.is_dir():
        raise OSError(errno.ENOENT, f"there is no folder {path.parent}")
    if path.exists() and not path.is_socket():
        raise OSError(errno.EEXIST, "there is a file that is no socket")


def _remove_stale(path: Path) -> None:
    """Remove what a process that is dead has left; a socket that somebody listens on stays."""
    if not path.exists():
        return
    with socket.socket(socket.AF_UNIX) as probe:
        # Who listens but is too busy to accept at once lives, too.
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except BlockingIOError:
            pass
    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))


def _refusal(address: Address, error: OSError) -> ListenError:
    # Python adds the address, which we name ourselves.
    cause = (error.strerror or str(error)).partition(" (while attempting")[0]
    return ListenError(f"can't listen on {address}: {cause}")
