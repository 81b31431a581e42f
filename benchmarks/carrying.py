"""What one exporter carries, for docs/scaling.md: all tasks are active, and half of them Qencode's."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks.figures import Figure, Unit, alone
from benchmarks.processes import Served, livepeer, qencode, serving
from benchmarks.provider import Addresses, Work, providing
from benchmarks.scale import Scale

PART: Final = "load"


def measure(scale: Scale) -> Iterator[Figure]:
    """Measure with ever more tasks."""
    for number in scale.active:
        with providing(Work(livepeer_active=number // 2, qencode_active=number // 2)) as provider:
            yield from _measure(number, provider.addresses, scale)


def _measure(number: int, addresses: Addresses, scale: Scale) -> Iterator[Figure]:
    what = f"{number:,} active tasks"
    with TemporaryDirectory() as name:
        folder = Path(name)
        tokens = folder / "tokens.json"
        tokens.write_text(json.dumps([{"targets": addresses.tokens}]))
        accounts = livepeer(addresses), qencode(addresses, tokens)
        with serving(folder, *accounts, poll={"min_poll_interval": "0s", "timeout": "60s"}) as served:
            first = served.scrape().wall
            polled = [served.scrape().wall for _ in range(scale.rounds)]
            memory = _resident(served)
        with serving(folder, *accounts, poll={"min_poll_interval": "1h", "timeout": "60s"}) as served:
            size = len(served.text())
            rendered = [served.scrape().wall for _ in range(scale.rounds)]
    yield alone(PART, f"{what}: first scrape", Unit.SECONDS, [first])
    yield alone(PART, f"{what}: scrape that polls", Unit.SECONDS, polled)
    yield alone(PART, f"{what}: rendering alone", Unit.SECONDS, rendered)
    yield alone(PART, f"{what}: text, uncompressed", Unit.BYTES, [size])
    yield alone(PART, f"{what}: resident memory", Unit.BYTES, [memory])


def _resident(served: Served) -> float:
    status = Path(f"/proc/{served.pid}/status").read_text()
    return 1024.0 * int(re.findall(r"VmRSS:\s+(\d+) kB", status)[0])
