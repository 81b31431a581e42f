"""What systemd is told: that we listen, read our configuration anew, live, and stop. Elsewhere, nothing."""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import structlog

_NOTIFY: Final = "NOTIFY_SOCKET"

_log = structlog.get_logger()


def notify(*lines: str) -> None:
    """Send lines like `READY=1` in one message, if somebody wants to know."""
    if not (address := os.environ.get(_NOTIFY)):
        return
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
            out.setblocking(False)
            # A name that begins with @ is not a file's.
            out.connect(f"\0{address[1:]}" if address.startswith("@") else address)
            out.sendall("\n".join(lines).encode())
    except OSError as error:
        _log.warning("systemd can't be told", error=str(error))


@contextmanager
def reloading() -> Iterator[None]:
    """Tell when a reload begins and when it is over."""
    notify("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")
    try:
        yield
    finally:
        notify("READY=1")


def watchdog() -> float | None:
    """Return after how many seconds without `WATCHDOG=1` we count as dead; None if nobody watches."""
    usec, pid = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", str(os.getpid()))
    if not os.environ.get(_NOTIFY) or not usec.isdecimal() or int(usec) == 0 or pid != str(os.getpid()):
        return None
    return int(usec) / 1_000_000
