"""Part e: how long it takes to begin."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks.figures import Figure, Unit, alone, below
from benchmarks.processes import EXPORTER, configure, ended
from benchmarks.remembered import remember
from benchmarks.scale import Scale
from benchmarks.tasks import STUDIO

HELP_CPU: Final = 0.2
READY: Final = 1.0
_PATIENCE: Final = 30.0

_NOTHING: Final = {"name": "studio", "base_url": "http://127.0.0.1:9/api", "api_key": "key"}
"""An account at a service that refuses connections: starting asks nothing."""


def measure(scale: Scale) -> Iterator[Figure]:
    """Start often: the help, what is imported, and until it is ready with little or much remembered."""
    rounds = range(scale.starts)
    helps = [_cpu([EXPORTER, "--help"]) for _ in rounds]
    yield alone("e", "--help: CPU", Unit.SECONDS, helps, below(HELP_CPU))
    for module in ("exporter.cli", "exporter.serving"):
        imports = [_cpu([sys.executable, "-c", f"import {module}"]) for _ in rounds]
        yield alone("e", f"importing {module}: CPU", Unit.SECONDS, imports)
    yield alone("e", "Python alone: CPU", Unit.SECONDS, [_cpu([sys.executable, "-c", ""]) for _ in rounds])
    for number in (0, scale.tracked[-1]):
        with TemporaryDirectory() as name:
            folder = Path(name)
            remember(folder / "ledger.db", {STUDIO: number})
            ready = [_until_ready(folder) for _ in rounds]
        what = f"from the start until ready, {number:,} tasks in the ledger"
        yield alone("e", what, Unit.SECONDS, ready, below(READY))


def _cpu(command: Sequence[str]) -> float:
    """Return the CPU time of a process from its start to its end."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: S603 - our own
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{command} ended with {process.returncode}")
    return usage.ru_utime + usage.ru_stime


def _until_ready(folder: Path) -> float:
    config, port = configure(folder, _NOTHING), _free_port()
    options = [f"--config.file={config}", f"--web.listen-address=127.0.0.1:{port}"]
    with (folder / "log").open("wb") as log:
        started = time.perf_counter()
        process = subprocess.Popen(  # noqa: S603 - our own
            [EXPORTER, "serve", *options, f"--storage.path={folder}/ledger.db"], stderr=log
        )
        try:
            while not _ready(port):
                if process.poll() is not None or time.perf_counter() - started > _PATIENCE:
                    raise RuntimeError(f"not ready: {(folder / 'log').read_text()}")
                time.sleep(0.005)
            return time.perf_counter() - started
        finally:
            ended(process)


def _ready(port: int) -> bool:
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/-/ready")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port
