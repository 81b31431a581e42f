"""Part g: what it costs to remember: the commit of a poll, beside the whole poll."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from prometheus_client import CollectorRegistry

from benchmarks.figures import Figure, Pair, Unit, below, compared
from benchmarks.provider import Addresses, Work, providing
from benchmarks.scale import Scale
from benchmarks.tasks import STUDIO
from exporter.clock import SystemClock
from exporter.config import LivepeerConfig, PollConfig, Secret
from exporter.metrics.telemetry import Telemetry
from exporter.poller import AccountPoller
from exporter.services import Services
from exporter.sharding import ALONE
from exporter.tracking.database import Database
from exporter.tracking.database_ledger import DatabaseLedger
from exporter.tracking.knowledge import Change
from exporter.tracking.ledger import Terms
from exporter.tracking.tally import DEFAULT_BUCKETS

KNOWN: Final = 10_000
ACTIVE: Final = 200
_PATIENCE: Final = 60.0

CASES: Final = {"no change": (0, 0), "50 changes": (50, 0), "1,000 new tasks": (0, 1_000)}
"""How many tasks change and come before each poll."""


class _TimedLedger(DatabaseLedger):
    """A ledger that measures itself."""

    seconds = 0.0

    def commit(self, change: Change) -> None:
        started = time.perf_counter()
        super().commit(change)
        self.seconds += time.perf_counter() - started


class _Account:
    """An account as the exporter polls it, with a ledger that measures itself."""

    def __init__(self, addresses: Addresses, folder: Path) -> None:
        clock, telemetry, poll = (
            SystemClock(),
            Telemetry(CollectorRegistry()),
            PollConfig(min_poll_interval=0.0),
        )
        self._ledger = _TimedLedger(Database(f"sqlite:///{folder}/ledger.db"), clock, lambda _: None)
        key = Secret(addresses.livepeer_key)
        config = LivepeerConfig(name=STUDIO.name, base_url=addresses.livepeer_url, api_key=key)
        services = Services(clock, telemetry, label=lambda _, task: task, given=lambda _: {}, shard=ALONE)
        self._poller = AccountPoller(
            services.create(config, poll, keep=7 * 86400.0, begun=clock.steady()),
            self._ledger.recall(STUDIO, Terms(poll.retention, DEFAULT_BUCKETS)),
            self._ledger,
            clock=clock,
            telemetry=telemetry,
            min_interval=poll.min_poll_interval,
        )

    def poll(self) -> Pair:
        """Poll once; return the seconds of its commits, and of all of it."""
        self._ledger.seconds = 0.0
        started = time.perf_counter()
        poll = self._poller.begin()
        if poll is None or not poll.done.wait(_PATIENCE):
            raise RuntimeError("the poll does not end")
        return self._ledger.seconds, time.perf_counter() - started

    def close(self) -> None:
        """Let go of what is open."""
        self._poller.retire()
        self._ledger.close()


def measure(scale: Scale) -> Iterator[Figure]:
    """Measure polls that bring nothing, some changes, and many new tasks."""
    with ExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory())
        provider = stack.enter_context(providing(Work(KNOWN - ACTIVE, ACTIVE)))
        account = _Account(provider.addresses, Path(folder))
        stack.callback(account.close)
        account.poll()
        for case, (changing, new) in CASES.items():
            measured = []
            for _ in range(scale.rounds):
                provider.change(changing, new)
                measured.append(account.poll())
            what = f"commits of a poll, {case}, against the whole poll"
            yield compared("g", what, Unit.SECONDS, measured, below())
