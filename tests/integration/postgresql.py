"""A real PostgreSQL for the tests: a cluster of its own, on a free loopback port, gone with the session."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.lacking import FETCH, do_without


def programs() -> Path | None:
    """Return the folder of `initdb` and `postgres`; None if they are not installed."""
    if found := shutil.which("initdb"):
        return Path(found).parent
    return next((path.parent for path in sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))), None)


@contextmanager
def running() -> Iterator[str]:
    """Run a server; yield its URL for SQLAlchemy."""
    folder = programs()
    if folder is None:
        do_without("PostgreSQL", FETCH)
    assert folder
    with tempfile.TemporaryDirectory(prefix="postgresql-") as name:
        base = Path(name)
        # PostgreSQL refuses to run as root.
        user = {"user": "nobody", "group": "nogroup"} if os.geteuid() == 0 else {}
        if user:
            shutil.chown(base, **user)
        data, port = base / "data", _free_port()
        subprocess.run(  # type: ignore[call-overload]
            [folder / "initdb", "--pgdata", data, "--username", "exporter", "--auth", "trust", "--no-sync"],
            check=True,
            capture_output=True,
            cwd=base,
            **user,
        )
        log = (base / "log").open("wb")
        server = subprocess.Popen(  # type: ignore[call-overload]
            [
                *(folder / "postgres", "-D", data, "-h", "127.0.0.1", "-p", str(port), "-k", base),
                *("-c", "fsync=off", "-c", "logging_collector=off"),
            ],
            stdout=subprocess.DEVNULL,
            stderr=log,
            cwd=base,
            **user,
        )
        try:
            _wait(port, server, base / "log")
            yield f"postgresql+psycopg://exporter@127.0.0.1:{port}/postgres"
        finally:
            server.terminate()
            server.wait(timeout=20)
            log.close()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _wait(port: int, server: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise RuntimeError(f"PostgreSQL ended: {log.read_text()}")
        if "ready to accept connections" in log.read_text():
            return
        time.sleep(0.05)
    raise TimeoutError(f"PostgreSQL did not start: {log.read_text()}")
