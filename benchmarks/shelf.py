"""Livepeer's list of tasks, sorted once: the simulator's own sorts all of an account's rows for each page.

That would measure the provider. Records, headers, cursors and errors are the simulator's.
"""

import json
from bisect import bisect_left, insort
from collections.abc import Mapping
from random import Random
from threading import Lock
from typing import Final, NamedTuple

from benchmarks.tasks import DAY, uuid
from exporter.simulator.answer import Answer, Request
from exporter.simulator.clock import SimulatedClock
from exporter.simulator.express import express_answer, express_error, next_link
from exporter.simulator.livepeer_content import task_fields, task_output
from exporter.simulator.livepeer_status import LivepeerChange, LivepeerEvent, changed
from exporter.simulator.livepeer_task import LivepeerTask

KEY: Final = "benchmark-key"
_KEYSET: Final = "updatedAt-false,id-false"


class _Row(NamedTuple):
    """A task as the list has it; sorted as the keyset is: by update, then by id."""

    updated: int
    task: str
    text: str


class Shelf:
    """An account's tasks: ended ones that never change, and active ones. A `Service` of the simulator."""

    def __init__(self, clock: SimulatedClock, finished: int, active: int) -> None:
        """Make the tasks: the finished ones ended over the last five days, but for the last hour."""
        self._clock = clock
        self._dice = Random(finished)  # noqa: S311 - nothing here is secret
        self._user, self._project = uuid(self._dice), uuid(self._dice)
        self._lock = Lock()
        now = clock.time()
        span = 4 * DAY / max(finished, 1)
        rows = [self._completed(now - 5 * DAY + span * place) for place in range(finished)]
        self._active = [self._running(now - 1200 + place) for place in range(active)]
        self._rows = sorted([*rows, *map(_row, self._active)])

    def change(self, number: int) -> None:
        """Let so many of the active tasks make progress, those first that have been silent for longest."""
        now = self._clock.time()
        with self._lock:
            for place, task in enumerate(self._active[:number]):
                before = _row(task)
                del self._rows[bisect_left(self._rows, before)]
                step = LivepeerChange(0.0, LivepeerEvent.PROGRESS, progress=round(self._dice.random(), 4))
                after = changed(task.timeline.last, now - (number - place) / 1000, step)
                task.timeline = task.timeline.then(after)
                insort(self._rows, _row(task))
            self._active = [*self._active[number:], *self._active[:number]]

    def add(self, number: int) -> None:
        """Let so many tasks come, that run already."""
        now = self._clock.time()
        with self._lock:
            # Those that change are taken from the front.
            self._active += [self._running(now - 300 - place / 1000) for place in range(number)]
            for task in self._active[len(self._active) - number :]:
                insort(self._rows, _row(task))

    def target(self, path: str) -> str:
        """Return under which name a request is on record."""
        return "livepeer_task" if path.startswith("/api/task/") else "livepeer_list"

    def answer(self, request: Request) -> Answer:
        """Return a page of the list, or one task."""
        if request.headers.get("authorization") != f"Bearer {KEY}":
            return express_error(request, 401, "request is not authenticated")
        with self._lock:
            if request.path == "/api/task":
                return self._page(request)
            wanted = request.path.removeprefix("/api/task/")
            found = next((row for row in self._rows if row.task == wanted), None)
        if found is None:
            return express_error(request, 404, "not found")
        return express_answer(request, 200, found.text.encode())

    def _page(self, request: Request) -> Answer:
        query = request.query
        limit = min(int(query.get("limit", "20")), 1000)
        cursor = query.get("cursor", "skip0")
        skipped = int(cursor.removeprefix("skip")) if cursor != "undefined" else len(self._rows)
        if query.get("order") == _KEYSET:
            first = bisect_left(self._rows, (_since(query), "")) + skipped
            rows = self._rows[first : first + limit]
        else:
            end = max(0, len(self._rows) - skipped)
            rows = self._rows[max(0, end - limit) : end][::-1]
        after = f"skip{skipped + limit}" if len(rows) == limit else "undefined"
        body = "[" + ",".join(row.text for row in rows) + "]"
        return express_answer(request, 200, body.encode(), *[next_link(request, after)] if rows else [])

    def _completed(self, at: float) -> _Row:
        task = self._scripted(at - 300)
        output = task_output(self._dice, "upload", task.id)
        step = LivepeerChange(0.0, LivepeerEvent.COMPLETED, output=output)
        return _row(LivepeerTask(task.fixed, task.timeline.then(changed(task.timeline.last, at, step))))

    def _running(self, at: float) -> LivepeerTask:
        return self._scripted(at, LivepeerChange(300.0, LivepeerEvent.PROGRESS, progress=0.25))

    def _scripted(self, at: float, *more: LivepeerChange) -> LivepeerTask:
        fields = task_fields(self._dice, "upload", uuid(self._dice), self._user, self._project)
        return LivepeerTask.scripted(fields, at, (LivepeerChange(2.0, LivepeerEvent.SCHEDULED), *more))


def _row(task: LivepeerTask) -> _Row:
    step = task.timeline.last
    return _Row(step.updated_at, task.id, task.rendered(step))


def _since(query: Mapping[str, str]) -> int:
    """Return the least `updatedAt` that a keyset asks for, in milliseconds."""
    return int(next(one["value"]["gte"] for one in json.loads(query["filters"]) if one["id"] == "updatedAt"))
