"""One scrape's polls: every account at once, each at most once at a time, until the deadline."""

import threading
from collections import Counter
from collections.abc import Sequence
from typing import Protocol

import structlog

from exporter.model import Account, Clock, Outcome
from exporter.providers.service import ApiError, Gone, Page, Service, Trouble
from exporter.tracking.knowledge import Change, Knowledge
from exporter.tracking.ledger import Ledger

_log = structlog.get_logger()


class PollTelemetry(Protocol):
    """Where the poller tells how polls went."""

    def polled(self, account: Account, outcome: Outcome) -> None:
        """Count a poll by its outcome."""

    def poll_ended(self, account: Account, seconds: float, *, up: bool, success_at: float | None) -> None:
        """Tell that a poll is over: how long it took, whether it worked, and when, if all of it did."""

    def poll_late(self, account: Account) -> None:
        """Tell that a poll is not over at the deadline of a scrape."""


class _Poll:
    """A poll that is running; it is counted once: when a scrape gives up waiting for it, or at its end."""

    def __init__(self) -> None:
        self.done = threading.Event()
        self.counted = False


class AccountPoller:
    """Polls one account: one poll at a time, and none sooner than `min_interval` after the last."""

    def __init__(
        self,
        service: Service,
        knowledge: Knowledge,
        ledger: Ledger,
        *,
        clock: Clock,
        telemetry: PollTelemetry,
        min_interval: float,
    ) -> None:
        self.account = service.account
        self._service = service
        self._knowledge = knowledge
        self._ledger = ledger
        self._clock = clock
        self._telemetry = telemetry
        self._min_interval = min_interval
        self._lock = threading.Lock()
        self._running: _Poll | None = None
        self._fresh_until = float("-inf")

    @property
    def knowledge(self) -> Knowledge:
        """What is known about the account."""
        return self._knowledge

    def begin(self) -> threading.Event | None:
        """Start a poll if one is due, or join the running one; return what is set at its end."""
        with self._lock:
            if self._running is not None:
                return self._running.done
            if self._clock.monotonic() < self._fresh_until:
                return None
            if self._service.pause > 0:
                self._telemetry.polled(self.account, Outcome.SKIPPED)
                self._fresh_until = self._clock.monotonic() + self._min_interval
                return None
            self._running = _Poll()
            # A daemon, so that a provider that hangs does not hold up the end of the process.
            threading.Thread(
                target=self._run, args=(self._running,), name=f"poll {self.account}", daemon=True
            ).start()
            return self._running.done

    def give_up(self) -> None:
        """Tell that a scrape no longer waits; the poll goes on and serves the next one."""
        with self._lock:
            if self._running is None:
                return
            if not self._running.counted:
                self._running.counted = True
                self._telemetry.polled(self.account, Outcome.DEADLINE)
            self._telemetry.poll_late(self.account)

    def close(self) -> None:
        """Let no scrape wait any longer, and close the connections."""
        with self._lock:
            if self._running is not None:
                self._running.done.set()
        self._service.close()

    def _run(self, poll: _Poll) -> None:
        started = self._clock.monotonic()
        outcome = Outcome.ERROR
        try:
            outcome = self._poll()
        except Exception:  # noqa: BLE001 - whatever it is, the account must be polled again
            _log.exception("poll ended by a bug, please report it", account=str(self.account))
        finally:
            self._end(poll, outcome, self._clock.monotonic() - started)

    def _end(self, poll: _Poll, outcome: Outcome, seconds: float) -> None:
        with self._lock:
            if not poll.counted:
                self._telemetry.polled(self.account, outcome)
            self._telemetry.poll_ended(
                self.account,
                seconds,
                up=outcome in (Outcome.SUCCESS, Outcome.PARTIAL),
                success_at=self._clock.time() if outcome is Outcome.SUCCESS else None,
            )
            self._fresh_until = self._clock.monotonic() + self._min_interval
            self._running = None
        _log.debug("polled", account=str(self.account), outcome=outcome, seconds=round(seconds, 3))
        poll.done.set()

    def _poll(self) -> Outcome:
        came = False
        errors: list[ApiError] = []
        for part in self._service.poll(self._knowledge):
            now = self._clock.time()
            match part:
                case Trouble(error):
                    errors.append(error)
                case Page(observations, position):
                    came = True
                    self._learn(self._knowledge.plan(now, observations=observations, position=position))
                case Gone(tasks) if tasks:
                    self._learn(self._knowledge.plan(now, gone=tasks))
        for message, times in Counter(str(error) for error in errors).items():
            _log.warning("poll failed in part", account=str(self.account), error=message, times=times)
        if not errors:
            return Outcome.SUCCESS
        return Outcome.PARTIAL if came else Outcome.ERROR

    def _learn(self, change: Change) -> None:
        self._ledger.commit(change)
        self._knowledge.apply(change)


class Poller:
    """All accounts."""

    def __init__(self, accounts: Sequence[AccountPoller], clock: Clock) -> None:
        self._accounts = tuple(accounts)
        self._clock = clock

    @property
    def accounts(self) -> Sequence[AccountPoller]:
        """Every account."""
        return self._accounts

    def refresh(self, timeout: float) -> None:
        """Poll every account that is due, and return when all are done or after `timeout` seconds."""
        deadline = self._clock.monotonic() + timeout
        waiting = [(account, done) for account in self._accounts if (done := account.begin())]
        late = [
            account
            for account, done in waiting
            if not done.wait(max(0.0, deadline - self._clock.monotonic()))
        ]
        for account in late:
            account.give_up()

    def close(self) -> None:
        """Close all connections."""
        for account in self._accounts:
            account.close()
