"""Livepeer's accounts and their tasks, with what can be done to them by hand."""

import json
from collections.abc import Iterable, Mapping
from threading import RLock
from typing import Any, Protocol
from uuid import UUID

from exporter.simulator.clock import SimulatedClock
from exporter.simulator.dice import dice
from exporter.simulator.livepeer_content import task_fields, task_output
from exporter.simulator.livepeer_query import Row
from exporter.simulator.livepeer_status import LivepeerChange, LivepeerEvent, changed
from exporter.simulator.livepeer_task import LivepeerTask

DEFAULT_KEY = "simulated-livepeer-key"


class LivepeerArrivals(Protocol):
    """Where an account's tasks come from by themselves."""

    def arrived(self, now: float) -> Iterable[LivepeerTask]:
        """Return the tasks created since the last call, up to a moment in seconds since the epoch."""

    def forgotten(self, task: LivepeerTask, now: float) -> bool:
        """Return whether a task is so old that it may be dropped."""


class LivepeerAccount:
    """One account: an API key, its user, and the user's tasks. All operations happen at the present.

    Args:
        name: A name for people; ids derive from it.
        key: The API key.
        clock: The present.
        seed: Ids and contents of hand-made tasks derive from it.
        arrivals: Where tasks come from by themselves; None for none.

    Attributes:
        suspended: Whether requests answer 403 `user is suspended`.
        browser_only: Whether the key is restricted to browsers: requests answer 403.
        lag: Seconds by which every change becomes visible late, with its older time.
    """

    def __init__(
        self,
        name: str,
        key: str,
        clock: SimulatedClock,
        seed: int = 0,
        arrivals: LivepeerArrivals | None = None,
    ) -> None:
        self.name = name
        self.key = key
        self.suspended = False
        self.browser_only = False
        self.lag = 0.0
        self._clock = clock
        self._arrivals = arrivals
        self._random = dice("livepeer", seed, name, "by hand")
        self._tasks: dict[str, LivepeerTask] = {}
        self._lock = RLock()
        self.user_id, self.project_id = account_ids(name)

    def add(
        self,
        task_type: str = "upload",
        *,
        script: Iterable[LivepeerChange] = (),
        late: float = 0.0,
        **fields: Any,
    ) -> str:
        """Create a task now, in phase pending.

        Args:
            task_type: Any text; for the known types the task has the parameters and ids of its type.
            script: What happens to it from here on; by hand instead with the operations below.
            late: Seconds for which readers do not see it.
            fields: Fields of the task to set (`id`, `inputAssetId`, `params` ...); None leaves one out.

        Returns:
            The task's id.
        """
        with self._lock:
            task_id = str(UUID(int=self._random.getrandbits(128), version=4))
            fixed = task_fields(self._random, task_type, task_id, self.user_id, self.project_id)
            chosen = {name: value for name, value in (fixed | fields).items() if value is not None}
            task = LivepeerTask.scripted(chosen, self._clock.time(), script, late)
            self._tasks[task.id] = task
            return task.id

    def load(self, records: str | bytes | Iterable[Mapping[str, Any]]) -> list[str]:
        """Add tasks as recorded answers show them, times, odd fields and missing ones included.

        Args:
            records: The records, or the JSON text of a list of them.

        Returns:
            Their ids.
        """
        parsed = json.loads(records) if isinstance(records, str | bytes) else records
        tasks = [LivepeerTask.recorded(record) for record in parsed]
        with self._lock:
            self._tasks.update((task.id, task) for task in tasks)
        return [task.id for task in tasks]

    def add_bad_record(self) -> str:
        """Add a task that the server cannot clean: it turns its whole page into a 500; return its id."""
        task_id = self.add("upload")
        with self._lock:
            task = self._tasks[task_id]
            task.fixed = {name: value for name, value in task.fixed.items() if name != "params"}
        return task_id

    def schedule(self, task: str) -> None:
        """Phase waiting, `retries: 0`, `scheduledAt` now."""
        self.change(task, LivepeerEvent.SCHEDULED)

    def progress(self, task: str, progress: float | None = None, *, late: float = 0.0) -> None:
        """Phase running with the progress (0 to 1) that the runner sends, None for none."""
        self.change(task, LivepeerEvent.PROGRESS, progress=progress, late=late)

    def fail_and_retry(self, task: str, message: str = "catalyst pipeline error") -> None:
        """A failure that will be retried: phase waiting, one retry more, the message.

        Raises:
            ValueError: If it has been retried twice already.
        """
        self.change(task, LivepeerEvent.WILL_RETRY, message=message)

    def resume(self, task: str) -> None:
        """The pause before a retry is over: phase waiting, the message gone."""
        self.change(task, LivepeerEvent.RESUMED)

    def fail(self, task: str, message: str = "catalyst pipeline error") -> None:
        """Failed for good."""
        self.change(task, LivepeerEvent.FAILED, message=message)

    def complete(self, task: str, output: Mapping[str, Any] | None = None, *, late: float = 0.0) -> None:
        """Completed: progress and retries vanish; without an output, one that fits the type."""
        made = output
        if made is None:
            with self._lock:
                made = task_output(self._random, str(self._tasks[task].fixed["type"]), task)
        self.change(task, LivepeerEvent.COMPLETED, output=made, late=late)

    def cancel(self, task: str) -> None:
        """Phase cancelled."""
        self.change(task, LivepeerEvent.CANCELLED)

    def retry_by_hand(self, task: str) -> None:
        """Retried by hand from failed or cancelled: phase waiting, `retries: 0`, a new `scheduledAt`."""
        self.change(task, LivepeerEvent.RETRIED_BY_HAND)

    def late_error(self, task: str, message: str = "catalyst pipeline error") -> None:
        """An error after completion: phase waiting again, with the old output still there."""
        self.fail_and_retry(task, message)

    def late_success(self, task: str, output: Mapping[str, Any] | None = None) -> None:
        """A success after failure or cancellation: completed."""
        self.complete(task, output)

    def set_status(self, task: str, **status: Any) -> None:
        """Replace the whole status by any other, `updatedAt` being now unless given (in milliseconds)."""
        self.change(task, LivepeerEvent.REPLACED, status=status)

    def delete(self, task: str, *, purge: bool = False) -> None:
        """Delete: gone from the list; asked alone it answers `deleted: true`, or 404 if purged."""
        if not purge:
            self.change(task, LivepeerEvent.DELETED)
            return
        with self._lock:
            del self._tasks[task]

    def change(self, task: str, event: LivepeerEvent, **details: Any) -> None:
        """Let something happen to a task now, instead of whatever was planned for it.

        Args:
            task: Its id.
            event: What happens.
            details: The attributes of LivepeerChange that the event needs.

        Raises:
            KeyError: If there is no such task.
            ValueError: If Livepeer never does this.
        """
        now = self._clock.time()
        with self._lock:
            self._arrive(now)
            found = self._tasks[task]
            step = found.timeline.at(now)
            if step is None:
                raise KeyError(task)
            after = changed(step, now, LivepeerChange(0.0, event, **details))
            found.timeline = found.timeline.then(after)

    def rows(self) -> list[Row]:
        """Return every task that readers of the list see now, in no particular order."""
        now = self._clock.time()
        with self._lock:
            self._arrive(now)
            seen = [(task, task.seen(now, self.lag)) for task in self._tasks.values()]
        return [(task, step) for task, step in seen if step is not None and not step.deleted]

    def row(self, task: str) -> Row | None:
        """Return one task as its readers see it now, deleted or not; None if there is none."""
        now = self._clock.time()
        with self._lock:
            self._arrive(now)
            found = self._tasks.get(task)
            step = found.seen(now, self.lag) if found is not None else None
        return None if found is None or step is None else (found, step)

    def _arrive(self, now: float) -> None:
        if self._arrivals is None:
            return
        arrived = list(self._arrivals.arrived(now))
        if arrived:
            self._tasks.update((task.id, task) for task in arrived)
            old = [task.id for task in self._tasks.values() if self._arrivals.forgotten(task, now)]
            for task_id in old:
                del self._tasks[task_id]


class LivepeerWorld:
    """All accounts. `account` is the first one; its key is the simulator's `livepeer_key`."""

    def __init__(self, clock: SimulatedClock, seed: int = 0) -> None:
        self._clock = clock
        self._seed = seed
        self._accounts: dict[str, LivepeerAccount] = {}

    @property
    def account(self) -> LivepeerAccount:
        """The first account."""
        return next(iter(self._accounts.values()))

    @property
    def accounts(self) -> Mapping[str, LivepeerAccount]:
        """The accounts by API key."""
        return self._accounts

    def new_account(self, name: str, key: str, arrivals: LivepeerArrivals | None = None) -> LivepeerAccount:
        """Add an account.

        Args:
            name: A name for people.
            key: Its API key.
            arrivals: Where its tasks come from by themselves; None for none.
        """
        account = LivepeerAccount(name, key, self._clock, self._seed, arrivals)
        self._accounts[key] = account
        return account

    def revoke(self, key: str) -> None:
        """Make a key unknown from now on."""
        del self._accounts[key]

    def owner(self, task: str) -> tuple[LivepeerAccount, Row] | None:
        """Return the account that has a task, and the task as readers see it; None if nobody has it."""
        for account in list(self._accounts.values()):
            row = account.row(task)
            if row is not None:
                return account, row
        return None


def account_ids(name: str) -> tuple[str, str]:
    """Return the ids of the user and of the default project of an account of that name."""
    ids = dice("livepeer account", name)
    user, project = (str(UUID(int=ids.getrandbits(128), version=4)) for _ in range(2))
    return user, project
