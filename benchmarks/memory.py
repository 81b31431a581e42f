"""Part d: how much memory a tracked task takes.

Each exporter is a process of its own, put together as `serve` does it. It knows its ended tasks from the
ledger, as after a restart, or has just read them from Livepeer; then all garbage is collected, and its
resident memory looked at. What one with a thousand of them takes is subtracted: most of the buffers for a
page, and whatever else is there once.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from benchmarks.figures import Figure, Unit, alone, below
from benchmarks.processes import configure, livepeer, qencode
from benchmarks.provider import Addresses, Work, providing
from benchmarks.remembered import remember
from benchmarks.scale import Scale
from benchmarks.tasks import STUDIO, VOD
from exporter.model import Account, Provider

LIMIT: Final = 1024.0
"""Bytes that a tracked task may take."""

FEW: Final = 1_000
"""Tasks of the exporter with which the others are compared."""

_PATIENCE: Final = 300

_LOOK: Final = """
import gc, re, sys
from pathlib import Path
from exporter.assembly import Exporter
from exporter.config import load

exporter = Exporter(load(Path(sys.argv[1]), {}))
exporter.refresh(120.0)
assert all(map(exporter.is_up, exporter.accounts))
exporter.exposition.render("")
gc.collect()
print(re.findall(r"VmRSS:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[0])
"""


def measure(scale: Scale) -> Iterator[Figure]:
    """Measure with the ledger of either provider, and after reading Livepeer's list."""
    with providing(Work()) as provider:
        for account in (STUDIO, VOD):
            few = _remembering(account, FEW, provider.addresses)
            for number in scale.tracked[1:]:
                many = _remembering(account, number, provider.addresses)
                yield _figure(f"{account.provider}, {number:,} from the ledger", few, many, number)
    few = _reading(FEW)
    for number in scale.tracked[1:]:
        yield _figure(f"{STUDIO.provider}, {number:,} just read", few, _reading(number), number)
    yield alone("d", "resident memory without a task", Unit.BYTES, [_reading(0)])


def _figure(what: str, few: float, many: float, number: int) -> Figure:
    """Return the line for so many tasks, from the resident memory with few and with them."""
    bytes_ = (many - few) / (number - FEW)
    return alone("d", f"memory of an ended task, {what}", Unit.BYTES, [bytes_], below(LIMIT))


def _remembering(account: Account, number: int, addresses: Addresses) -> float:
    with TemporaryDirectory() as name:
        folder = Path(name)
        known = remember(folder / "ledger.db", {account: number})[account]
        if account.provider is Provider.LIVEPEER:
            return _resident(folder, livepeer(addresses))
        tokens = folder / "tokens.json"
        tokens.write_text(json.dumps([{"targets": known}]))
        return _resident(folder, qencode(addresses, tokens))


def _reading(number: int) -> float:
    with TemporaryDirectory() as folder, providing(Work(number)) as provider:
        return _resident(Path(folder), livepeer(provider.addresses))


def _resident(folder: Path, account: Mapping[str, Any]) -> float:
    config = configure(folder, account, storage={"url": f"sqlite:///{folder}/ledger.db"})
    done = subprocess.run(  # noqa: S603 - our own
        [sys.executable, "-c", _LOOK, str(config)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        timeout=_PATIENCE,
    )
    return 1024.0 * int(done.stdout.split()[-1])
