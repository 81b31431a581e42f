"""One scrape's polls: every account at once, each at most once at a time, until the deadline."""

import threading
from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

from exporter.health import Health, HealthError
from exporter.model import Account, Clock, Outcome
from exporter.poll_log import PollLog, distinct
from exporter.providers.service import ApiError, Gone, Page, Service, Trouble
from exporter.tracking.knowledge import Change, Knowledge
from exporter.tracking.ledger import Ledger
from exporter.tracking.tracker import Moment

_log = structlog.get_logger()


class PollTelemetry(Protocol):
    """Where the poller tells how polls went."""

    def polled(self, account: Account, outcome: Outcome) -> None:
        """Count a poll by its outcome."""

    def poll_ended(self, account: Account, seconds: float, *, up: bool, success_at: float | None) -> None:
        """Tell that a poll is over: how long it took, whether it worked, and when, if all of it did."""

    def poll_late(self, account: Account) -> None:
        """Tell that a poll is not over at the deadline of a scrape."""


class Poll:
    """A poll that is running; it is counted once: when a scrape gives up waiting for it, or at its end."""

    def __init__(self) -> None:
        self.done = threading.Event()
        self.counted = False


class _RetiredError(Exception):
    """Another poller has taken over."""


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
        label: Callable[[str], str] = str,
    ) -> None:
        self.account = service.account
        self._service = service
        self._knowledge = knowledge
        self._ledger = ledger
        self._clock = clock
        self._telemetry = telemetry
        self._min_interval = min_interval
        self._log = PollLog(self.account, clock, label)
        self._lock = threading.Lock()
        self._learning = threading.Lock()
        self._retired = False
        self._running: Poll | None = None
        self._fresh_until = float("-inf")
        self._health = Health()

    @property
    def health(self) -> Health:
        """How the polls have gone."""
        return self._health

    @property
    def knowledge(self) -> Knowledge:
        """What is known about the account."""
        return self._knowledge

    def begin(self) -> Poll | None:
        """Start a poll if one is due, or join the running one."""
        with self._lock:
            if self._running is not None:
                return self._running
            if self._retired or self._clock.monotonic() < self._fresh_until:
                return None
            if self._service.pause > 0:
                self._telemetry.polled(self.account, Outcome.SKIPPED)
                self._fresh_until = self._clock.monotonic() + self._min_interval
                return None
            poll = Poll()
            # A daemon, so that a provider that hangs does not hold up the end of the process.
            thread = threading.Thread(
                target=self._run, args=(poll,), name=f"poll {self.account}", daemon=True
            )
            try:
                thread.start()
            except RuntimeError as error:
                # No thread to be had at the moment: the next scrape may have more luck.
                self._telemetry.polled(self.account, Outcome.SKIPPED)
                _log.error("poll skipped", account=str(self.account), error=str(error))
                return None
            self._running = poll
            return poll

    def give_up(self, poll: Poll) -> None:
        """Tell that a scrape no longer waits for a poll, which goes on and serves the next one."""
        with self._lock:
            if self._running is not poll or self._retired:
                return
            if not poll.counted:
                poll.counted = True
                self._telemetry.polled(self.account, Outcome.DEADLINE)
            self._telemetry.poll_late(self.account)
            self._health = self._health.late(self._clock.time())

    def retire(self) -> None:
        """Learn nothing more, let no scrape wait any longer, and close the connections.

        From then on another poller can take over the knowledge.
        """
        with self._learning:
            self._retired = True
        with self._lock:
            if self._running is not None:
                self._running.done.set()
        self._service.close()

    def _run(self, poll: Poll) -> None:
        started = self._clock.monotonic()
        outcome = Outcome.ERROR
        errors: list[ApiError] = []
        try:
            outcome = self._poll(errors)
        except _RetiredError:
            _log.debug("poll ended by a new configuration", account=str(self.account))
        except Exception:  # noqa: BLE001 - whatever it is, the account must be polled again
            _log.exception("poll ended by a bug, please report it", account=str(self.account))
        finally:
            self._end(poll, outcome, errors, self._clock.monotonic() - started)

    def _end(self, poll: Poll, outcome: Outcome, errors: Sequence[ApiError], seconds: float) -> None:
        try:
            with self._lock:
                if not self._retired:
                    self._tell(poll, outcome, errors, seconds)
                    self._log.ended(outcome, errors, seconds)
                self._fresh_until = self._clock.monotonic() + self._min_interval
                self._running = None
        finally:
            poll.done.set()

    def _tell(self, poll: Poll, outcome: Outcome, errors: Sequence[ApiError], seconds: float) -> None:
        self._health = self._health.after(
            outcome,
            at=self._clock.time(),
            seconds=seconds,
            errors=tuple(
                HealthError(error.endpoint, error.reason, str(error), times)
                for error, times in distinct(errors)
            ),
        )
        if not poll.counted:
            self._telemetry.polled(self.account, outcome)
        self._telemetry.poll_ended(
            self.account,
            seconds,
            up=outcome in (Outcome.SUCCESS, Outcome.PARTIAL),
            success_at=self._clock.time() if outcome is Outcome.SUCCESS else None,
        )

    def _poll(self, errors: list[ApiError]) -> Outcome:
        """Poll once, learn from each part as it comes, and put what did not come into `errors`."""
        came = False
        for part in self._service.poll(self._knowledge):
            now = self._clock.steady()
            match part:
                case Trouble(error):
                    errors.append(error)
                case Page(observations, position, at):
                    came = True
                    moment = Moment(now, now if at is None else at)
                    self._learn(self._knowledge.plan(moment, observations=observations, position=position))
                case Gone(tasks) if tasks:
                    self._learn(self._knowledge.plan(Moment(now, now), gone=tasks))
        if not errors:
            return Outcome.SUCCESS
        return Outcome.PARTIAL if came else Outcome.ERROR

    def _learn(self, change: Change) -> None:
        with self._learning:
            if self._retired:
                raise _RetiredError
            self._ledger.commit(change)
            self._knowledge.apply(change)
        self._log.failed(change.failed)


class Poller:
    """All accounts, which may change while scrapes go on."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.accounts: Sequence[AccountPoller] = ()

    def refresh(self, timeout: float) -> None:
        """Poll every account that is due, and return when all are done or after `timeout` seconds.

        What is not done by then is late, and its account counts as down.
        """
        for account, poll in self.catch_up(timeout):
            account.give_up(poll)

    def catch_up(self, timeout: float) -> Sequence[tuple[AccountPoller, Poll]]:
        """Poll every account that is due, for at most `timeout` seconds; return the polls that still run."""
        deadline = self._clock.monotonic() + timeout
        waiting = [(account, poll) for account in self.accounts if (poll := account.begin())]
        return [
            (account, poll)
            for account, poll in waiting
            if not poll.done.wait(max(0.0, deadline - self._clock.monotonic()))
        ]
