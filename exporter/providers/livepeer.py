"""Livepeer Studio: what to ask in a poll, and how to read on where the last one ended.

The list is read by what was updated since the last poll, with an overlap: reads go to replicas, where a row
can appear late with an older time than the newest one seen (livepeer/studio, packages/api). A deletion does
not show in the list at all, so an active task that has been silent for long is asked about alone.
"""

import urllib.parse
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from exporter.model import Account, Clock, Endpoint, ErrorReason, State, Task
from exporter.providers.livepeer_answer import read_task
from exporter.providers.livepeer_list import LivepeerList
from exporter.providers.parallel import unfold
from exporter.providers.service import ApiError, Gone, Known, Page, Part, Trouble
from exporter.providers.transport import Transport

OVERLAP: Final = 120.0
"""Seconds by which a poll reads again what the last one saw."""

RECHECK: Final = (600.0, 3600.0)
"""Seconds of silence after which an active task is asked about alone: at first, and at most."""

RECHECKS_A_POLL: Final = 5
"""Tasks that one poll asks about alone, so that a thousand silent ones don't become a thousand requests."""

PRUNED_A_POLL: Final = 500
"""Old tasks that one poll forgets, so that none has to forget a month's at once."""


@dataclass(frozen=True, slots=True)
class _Look:
    """When an active task last came with the list, and when it was last asked about (monotonic seconds)."""

    listed: float
    asked: float

    @property
    def due(self) -> float:
        """When to ask about it alone: ever later, the longer the list has been silent about it."""
        first, longest = RECHECK
        return self.asked + min(max(first, self.asked - self.listed), longest)


@dataclass(frozen=True, slots=True)
class _Calm:
    """The list has been read to its end since `first`, again at `last`, and its position stayed the same.

    What was updated before the position but can be seen late (OVERLAP) has come out by so much. Times are
    monotonic seconds.
    """

    position: float
    first: float
    last: float


class Livepeer:
    """One account at Livepeer Studio. `poll` is called by one thread at a time."""

    def __init__(
        self,
        account: Account,
        *,
        transport: Transport,
        clock: Clock,
        concurrency: int,
        keep: float,
        base_url: str = "https://livepeer.studio/api",
        task_types: Collection[str] = (),
        lookback: float = 30 * 86400.0,
    ) -> None:
        """Ask nothing yet.

        Args:
            account: The account.
            transport: How to ask; it holds the API key.
            clock: For the first window and for rechecks.
            concurrency: Requests at once.
            keep: Seconds for which an ended task is remembered, so that an old row does not count again.
            base_url: The API.
            task_types: The types to tell about; empty: all.
            lookback: Seconds that the first poll looks back; 0: everything.
        """
        self.account = account
        self._transport = transport
        self._clock = clock
        self._concurrency = concurrency
        self._keep = keep
        self._url = f"{base_url}/task"
        self._list = LivepeerList(account, transport, clock, self._url)
        self._task_types = frozenset(task_types)
        self._lookback = lookback
        self._looks: dict[str, _Look] = {}
        self._calm = _Calm(0.0, 0.0, 0.0)

    @property
    def pause(self) -> float:
        """Seconds for which Livepeer wants no request."""
        return self._transport.pause

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def poll(self, known: Known) -> Iterator[Part]:
        """Read what was updated since the last poll, then ask about the active tasks that are silent."""
        started = self._clock.monotonic()
        try:
            for page in self._list.read(self._since(known.position)):
                chosen = self._choose(_forward(page, known.position))
                self._listed(chosen)
                yield chosen
        except ApiError as error:
            yield Trouble(error)
            return
        self._read_to_the_end(known.position, started)
        yield from unfold(self._silent(known), self._recheck, self._concurrency)
        yield Gone(self._prune(known))

    def _since(self, position: float | None) -> float:
        if position is None:
            return self._clock.time() - self._lookback if self._lookback else 0.0
        calm = self._calm.last - self._calm.first if self._calm.position == position else 0.0
        return position - max(0.0, OVERLAP - calm)

    def _read_to_the_end(self, position: float | None, started: float) -> None:
        if position == self._calm.position:
            self._calm = replace(self._calm, last=max(started, self._calm.first))
        elif position is not None:
            ended = self._clock.monotonic()
            self._calm = _Calm(position, ended, ended)

    def _choose(self, page: Page) -> Page:
        """Drop the types that nobody asked for; the server can filter by one type only."""
        if not self._task_types:
            return page
        chosen = tuple(seen for seen in page.observations if seen.task_type in self._task_types)
        return replace(page, observations=chosen)

    def _listed(self, page: Page) -> None:
        now = self._clock.monotonic()
        for seen in page.observations:
            if seen.state.terminal:
                self._looks.pop(seen.task, None)
            else:
                self._looks[seen.task] = _Look(now, now)

    def _silent(self, known: Known) -> Sequence[str]:
        """Return the active tasks that are due to be asked about alone, the longest waiting first."""
        now = self._clock.monotonic()
        self._looks = {task: self._looks.get(task) or _Look(now, now) for task in known.active}
        due = sorted((look.due, task) for task, look in self._looks.items() if look.due <= now)
        return [task for _, task in due[:RECHECKS_A_POLL]]

    def _recheck(self, task: str) -> tuple[Sequence[Part], Sequence[str]]:
        self._looks[task] = replace(self._looks[task], asked=self._clock.monotonic())
        url = f"{self._url}/{urllib.parse.quote(task, safe='')}"
        try:
            answer = self._transport.get(Endpoint.LIVEPEER_TASK, url, accept=404)
            try:
                seen = None if answer.status == 404 else read_task(answer.body)
            except msgspec.DecodeError as error:
                raise self._transport.error(
                    Endpoint.LIVEPEER_TASK, ErrorReason.INVALID_RESPONSE, str(error)
                ) from None
        except ApiError as error:
            return (Trouble(error),), ()
        # Deleted: the server says 404, or 200 with a flag.
        if seen is None:
            return (Gone((task,)),), ()
        return (Page((seen,), at=answer.moment(self._clock.time())),), ()

    def _prune(self, known: Known) -> tuple[str, ...]:
        """Return tasks to forget: ended long ago, of a type not asked for, or silent in an unknown phase."""
        before = self._clock.steady() - self._keep
        given_up = [
            task.id
            for task in known.active.values()
            if (self._task_types and task.seen.task_type not in self._task_types)
            # In a phase that is new to us a task may have ended without our knowing.
            or (task.seen.state is State.UNKNOWN and task.changed < before)
        ]
        old = known.ended_before(before, PRUNED_A_POLL)
        # A task that the list can still bring must be known: it would look new, and count again.
        listed = (known.position or 0.0) - OVERLAP
        return (*given_up, *(task for task in old if _updated(known.task(task)) < listed))


def _updated(task: Task | None) -> float:
    return (task.seen.updated if task else None) or 0.0


def _forward(page: Page, position: float | None) -> Page:
    """Never go back, where the newest task was deleted: what lies behind may be forgotten by now."""
    if page.position is None or position is None:
        return page
    return replace(page, position=max(page.position, position))
