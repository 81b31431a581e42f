"""How long a start takes with a ledger that remembers much: `python benchmarks/ledger.py`.

Each figure is the best of a few starts of a new process, until the first scrape can be answered; `recall` is
the part of it that makes the exporter, which reads the ledger.
"""

# ruff: noqa: T201, S603 - it prints a table, about processes of its own

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from exporter.clock import SystemClock
from exporter.model import PHASES, Account, Observation, Provider, State
from exporter.tracking.database import Batch, Database
from exporter.tracking.knowledge import Knowledge
from exporter.tracking.tracker import Moment

STARTS = 5
SIZES = ((0, 0), (5_000, 200), (50_000, 2_000), (200_000, 2_000))
"""Finished and active tasks in the ledger."""

VOD = Account(Provider.QENCODE, "vod")
STUDIO = Account(Provider.LIVEPEER, "studio")
_DAY = 86400.0

_START = """
import sys, time
from exporter.assembly import Exporter
from exporter.config import Config, LivepeerConfig, QencodeConfig, Secret, StorageConfig
config = Config(
    storage=StorageConfig(url=sys.argv[1]),
    qencode=(QencodeConfig(name="vod", task_tokens=("a",)),),
    livepeer=(LivepeerConfig(name="studio", api_key=Secret("key")),),
)
began = time.perf_counter()
exporter = Exporter(config)
print(time.perf_counter() - began, sum(account is not None for account in exporter.accounts))
"""


def fill(path: Path, finished: int, active: int) -> None:
    """Make a ledger that remembers so many tasks, half of them of each provider."""
    now = SystemClock().time()
    database = Database(f"sqlite:///{path}")
    database.open()
    for account in (VOD, STUDIO):
        knowledge = Knowledge(account, now - 8 * _DAY)
        ended = list(_observations(account, finished // 2, now, ended=True))
        going_on = list(_observations(account, active // 2, now, ended=False))
        knowledge.apply(knowledge.plan(Moment(now - _DAY, now - _DAY), observations=ended, position=now))
        knowledge.apply(knowledge.plan(Moment(now, now), observations=going_on))
        tasks, counts = knowledge.dump()
        database.write([Batch(account, knowledge.opened, knowledge.position, dict(tasks), dict(counts))])
    database.close()


def _observations(account: Account, number: int, now: float, *, ended: bool) -> Iterator[Observation]:
    livepeer = account.provider is Provider.LIVEPEER
    phase = "completed" if ended else "running" if livepeer else "encoding"
    for place in range(number):
        at = now - _DAY - place if ended else now - place
        yield Observation(
            task=f"{place:08x}-{ended:d}000-4000-8000-{place:012x}",
            task_type="upload" if livepeer else "transcode",
            phase=phase,
            state=PHASES[account.provider].get(phase, State.UNKNOWN),
            dated=at,
            progress=1.0 if ended else 0.5,
            retries=0,
            created=at - 300 if livepeer else None,
            scheduled=at - 290 if livepeer else None,
            updated=at if livepeer else None,
            finished=at if livepeer and ended else None,
        )


def start(path: Path) -> tuple[float, float]:
    """Start once; return the seconds of all of it, and of the recall."""
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", _START, f"sqlite:///{path}"], check=True, capture_output=True, text=True
    )
    return time.perf_counter() - began, float(done.stdout.split()[-2])


def main() -> None:
    """Print the table."""
    print(f"{'finished':>9} {'active':>7} {'file':>9} {'recall':>9} {'start to ready':>15}")
    for finished, active in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "ledger.db"
            fill(path, finished, active)
            figures = [start(path) for _ in range(STARTS)]
            ready, recall = (min(column) for column in zip(*figures, strict=True))
            size = path.stat().st_size / 1e6
            print(f"{finished:9,} {active:7,} {size:6.1f} MB {1000 * recall:6.0f} ms {1000 * ready:12.0f} ms")


if __name__ == "__main__":
    main()
