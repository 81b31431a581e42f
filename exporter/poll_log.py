"""What is said about polls: when a trouble begins, now and then while it lasts, and when it is over."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from exporter.model import Account, Clock, Outcome, Task
from exporter.providers.service import ApiError

REPEAT: Final = 300.0
"""Seconds after which a trouble that goes on is told again."""

FAILURES_A_PART: Final = 20
"""Failed tasks of one part of a poll that get a line each; the rest is summed up."""

_log = structlog.get_logger()


class PollLog:
    """The lines about one account's polls."""

    def __init__(self, account: Account, clock: Clock, label: Callable[[str], str]) -> None:
        """Say nothing yet; `label` turns a task's id into what people may see of it."""
        self._account = str(account)
        self._clock = clock
        self._label = label
        self._told: frozenset[str] = frozenset()
        self._told_at = 0.0
        self._failing_since: float | None = None
        self._polls = 0

    def ended(self, outcome: Outcome, errors: Sequence[ApiError], seconds: float) -> None:
        """Tell how a poll ended."""
        _log.debug("polled", account=self._account, outcome=outcome, seconds=round(seconds, 3))
        now = self._clock.monotonic()
        if not errors and outcome is not Outcome.SUCCESS:
            return
        if not errors:
            if self._failing_since is not None:
                after = round(now - self._failing_since)
                _log.info("polls work again", account=self._account, after_seconds=after)
            self._failing_since, self._told = None, frozenset()
            return
        self._polls += 1
        if self._failing_since is None:
            self._failing_since, self._polls = now, 1
        # Numbers are left out: seconds to wait, for example, change with each poll.
        signs = frozenset(f"{error.endpoint} {error.reason} {error.status}" for error in errors)
        if signs <= self._told and now - self._told_at < REPEAT:
            return
        self._told, self._told_at = signs, now
        event = "poll failed" if outcome is Outcome.ERROR else "poll failed in part"
        for error, times in distinct(errors):
            _log.warning(
                event,
                account=self._account,
                endpoint=error.endpoint,
                reason=error.reason,
                error=str(error),
                times=times,
                polls=self._polls,
            )

    def failed(self, tasks: Sequence[Task]) -> None:
        """Tell which tasks have failed, and why, in the provider's words."""
        for task in tasks[:FAILURES_A_PART]:
            seen = task.seen
            _log.warning(
                "task failed",
                account=self._account,
                task=self._label(task.id),
                task_type=seen.task_type,
                phase=seen.phase,
                reason=seen.reason,
                error=seen.message,
            )
        if len(tasks) > FAILURES_A_PART:
            _log.warning("more tasks failed", account=self._account, number=len(tasks) - FAILURES_A_PART)


def distinct(errors: Sequence[ApiError]) -> list[tuple[ApiError, int]]:
    """Return the errors that differ in words, in their order, each with how often it came."""
    times = Counter(str(error) for error in errors)
    first = {str(error): error for error in reversed(errors)}
    return [(first[text], number) for text, number in times.items()]
