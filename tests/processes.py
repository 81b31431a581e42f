"""Real processes: started on free ports, waited for, and each ended by its own handle."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

T = TypeVar("T")

EXPORTER = (str(Path(sys.executable).with_name("transcoding-exporter")),)
"""The installed console script."""

ANY_PORT = "--web.listen-address=127.0.0.1:0"

_OURS = re.compile(r"TRANSCODING_EXPORTER_.*|LIVEPEER_API_KEY|QENCODE_TASK_TOKENS")


def wait_until(condition: Callable[[], T | None], seconds: float, what: str) -> T:
    """Return the first result of the condition that is true; fail if there is none in time."""
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)
    return result


def free_port() -> int:
    """Return a port that nobody listens on; for what can't be told to choose one, or won't tell which."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def environment(**variables: str) -> dict[str, str]:
    """The environment without what would configure the exporter, and with the given variables."""
    return {name: value for name, value in os.environ.items() if not _OURS.fullmatch(name)} | variables


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the exporter to its end, in a folder of its own."""
    with TemporaryDirectory() as folder:
        return subprocess.run(
            [*EXPORTER, *arguments],
            capture_output=True,
            text=True,
            timeout=20,
            cwd=folder,
            env=environment(**variables),
        )


class Process:
    """A process that runs, with what it has written so far."""

    def __init__(self, popen: subprocess.Popen[bytes], folder: Path) -> None:
        self._popen = popen
        self._folder = folder

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def stdout(self) -> str:
        return (self._folder / "stdout").read_text()

    @property
    def stderr(self) -> str:
        return (self._folder / "stderr").read_text()

    def find(self, pattern: str, seconds: float = 15.0) -> str:
        """Wait for a line on standard error; return the pattern's first group."""

        def found() -> str | None:
            match = re.search(pattern, self.stderr)
            assert match or self._popen.poll() is None, f"it ended:\n{self.stdout}{self.stderr}"
            return match[1] if match else None

        return wait_until(found, seconds, f"a line with {pattern}")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, float]:
        """Send a signal; return the exit status, and the seconds until the end."""
        started = time.monotonic()
        self._popen.send_signal(number)
        return self._popen.wait(timeout=30), time.monotonic() - started


@contextmanager
def running(command: Sequence[str], variables: Mapping[str, str] | None = None) -> Iterator[Process]:
    """A process that runs for the duration of the context, in a folder of its own."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        with (folder / "stdout").open("wb") as stdout, (folder / "stderr").open("wb") as stderr:
            popen = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                cwd=folder,
                env=environment(**variables or {}),
            )
        try:
            yield Process(popen, folder)
        finally:
            popen.kill()
            popen.wait()


@contextmanager
def exporting(*arguments: str, **variables: str) -> Iterator[tuple[Process, str]]:
    """The exporter as a process that listens on a free port, and the URL of its metrics."""
    with running([*EXPORTER, *arguments, ANY_PORT], variables) as process:
        yield process, process.find(r'\burl"?[=:] ?"?(http://[^\s"]+)')


def address_of_prometheus(process: Process) -> str:
    """Return where a Prometheus is found, once it is ready: at first it listens, and answers 503."""
    address = process.find(r'msg="Listening on".* address=(127\.0\.0\.1:\d+)')
    process.find(r'(msg="Server is ready to receive web requests\.")')
    return address
