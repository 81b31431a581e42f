"""A process that watches, to be killed at any moment; and the one that starts it anew each time.

A new interpreter would take most of a second to import everything. So one process imports it and waits,
without a thread of its own, and each watcher is its fork.
"""

import logging
import mmap
import os
import select
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import structlog

from exporter.assembly import Exporter
from exporter.config import Config, LivepeerConfig, PollConfig, QencodeConfig, Secret, StorageConfig
from exporter.model import Outcome

# Everything that an exporter imports only when it needs it.
from exporter.tracking import database_ledger as database_ledger

_PATIENCE = 60.0
_LAYOUT = struct.Struct("dq")


class Board:
    """The time and the number of the step, where another process can read them."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(bytes(_LAYOUT.size))
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), _LAYOUT.size)

    @property
    def step(self) -> int:
        return int(_LAYOUT.unpack_from(self._memory)[1])

    def write(self, now: float, step: int) -> None:
        _LAYOUT.pack_into(self._memory, 0, now, step)

    def time(self) -> float:
        return float(_LAYOUT.unpack_from(self._memory)[0])

    monotonic = steady = time


class Place(NamedTuple):
    """Where everything is."""

    ledger: Path
    board: Path
    tokens: Path
    qencode_url: str
    livepeer_url: str
    livepeer_key: str

    def config(self) -> Config:
        return Config(
            poll=PollConfig(min_poll_interval=0.0, timeout=_PATIENCE),
            storage=StorageConfig(url=f"sqlite:///{self.ledger}"),
            qencode=(
                QencodeConfig(
                    name="vod",
                    task_tokens_file=self.tokens,
                    base_url=self.qencode_url,
                    allowed_hosts=("127.0.0.1",),
                ),
            ),
            livepeer=(
                LivepeerConfig(name="studio", api_key=Secret(self.livepeer_key), base_url=self.livepeer_url),
            ),
        )


class Watcher:
    """The process that watches now, as seen by the test."""

    def __init__(self, nursery: subprocess.Popen[bytes]) -> None:
        self._nursery = nursery
        self._pid = 0
        self._unread = b""

    def start(self) -> None:
        assert self._nursery.stdin
        self._nursery.stdin.write(b"go\n")
        self._nursery.stdin.flush()
        self._pid = int(self._until(b"born "))

    def kill(self) -> None:
        """Kill it as the kernel does when memory runs out: it gets no chance to do anything more."""
        os.kill(self._pid, signal.SIGKILL)
        died = int(self._until(b"died "))
        assert died == signal.SIGKILL, f"it died by itself: {died}"

    def saw(self, step: int, times: int = 1) -> None:
        """Wait until polls that began after a step and saw everything have been committed."""
        for _ in range(times):
            while int(self._until(b"saw ")) != step:
                pass

    def _until(self, sign: bytes) -> bytes:
        assert self._nursery.stdout
        deadline = time.monotonic() + _PATIENCE
        while True:
            line, found, rest = self._unread.partition(b"\n")
            if found:
                self._unread = rest
                if line.startswith(sign):
                    return line.removeprefix(sign)
                assert not line.startswith(b"died "), f"it died by itself: {line.decode()}"
                continue
            ready, _, _ = select.select([self._nursery.stdout], [], [], deadline - time.monotonic())
            assert ready, f"nothing about {sign.decode()!r} in {_PATIENCE} s"
            self._unread += os.read(self._nursery.stdout.fileno(), 65536)


@contextmanager
def watcher(place: Place) -> Iterator[Watcher]:
    """The process that starts the others."""
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "tests.integration.watcher", *map(str, place)]
    nursery = subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with nursery:
        try:
            yield Watcher(nursery)
        finally:
            # Its last child finds nobody to talk to, and ends.
            nursery.kill()


def _nurse(place: Place) -> None:
    # Standard output belongs to what is told to the test.
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    for _ in sys.stdin:
        child = os.fork()
        if not child:
            _watch(place)
        _say("born", child)
        _, status = os.waitpid(child, 0)
        _say("died", os.waitstatus_to_exitcode(status) * -1)


def _watch(place: Place) -> None:
    board = Board(place.board)
    exporter = Exporter(place.config(), clock=board)
    # Only what is told about polls: to collect everything else would take most of the time.
    polls = exporter.registry.restricted_registry(
        ["transcoding_polls_total", "transcoding_exporter_ledger_degraded"]
    )
    seen = 0.0
    nurse = os.getppid()
    # With the nurse gone the test is over.
    while os.getppid() == nurse:
        step = board.step
        exporter.refresh(_PATIENCE)
        samples = [sample for metric in polls.collect() for sample in metric.samples]
        degraded = sum(sample.value for sample in samples if sample.name.endswith("_degraded"))
        successes = sum(s.value for s in samples if s.labels.get("outcome") == Outcome.SUCCESS)
        if successes == seen + len(exporter.accounts) and not degraded:
            _say("saw", step)
        seen = successes
    os._exit(0)


def _say(word: str, number: int) -> None:
    # In one write, so that the lines of two processes never mix.
    try:
        os.write(1, f"{word} {number}\n".encode())
    except BrokenPipeError:
        # The test is over.
        os._exit(0)


if __name__ == "__main__":
    ledger, board, tokens, *urls = sys.argv[1:]
    _nurse(Place(Path(ledger), Path(board), Path(tokens), *urls))
