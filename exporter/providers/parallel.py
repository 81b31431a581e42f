"""Runs jobs a few at a time, hands out results as they come, and takes on the jobs that they lead to."""

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")


def unfold(
    jobs: Iterable[Job],
    work: Callable[[Job], tuple[Sequence[Result], Sequence[Job]]],
    concurrency: int,
) -> Iterator[Result]:
    """Yield what `work` makes of the jobs and of the jobs that it adds, in the order of completion.

    The threads are daemons, so that a provider that hangs can't hold up the end of the process, which
    `concurrent.futures` would.

    Raises:
        Exception: whatever `work` raised.
    """
    waiting = deque(jobs)
    done: queue.SimpleQueue[tuple[Sequence[Result], Sequence[Job]] | Exception] = queue.SimpleQueue()

    def run(job: Job) -> None:
        try:
            done.put(work(job))
        except Exception as error:  # noqa: BLE001 - it is raised again by the caller's thread
            done.put(error)

    running = 0

    def start() -> None:
        nonlocal running
        while waiting and running < concurrency:
            threading.Thread(target=run, args=(waiting.popleft(),), daemon=True).start()
            running += 1

    start()
    while running:
        outcome = done.get()
        running -= 1
        if isinstance(outcome, Exception):
            raise outcome
        results, more = outcome
        # Next, not last: what was begun is finished first.
        waiting.extendleft(reversed(more))
        start()
        yield from results
