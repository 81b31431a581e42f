"""Given jobs that take their time, in which order are they begun, and what comes of them when?"""

import threading

from exporter.providers.parallel import unfold

PATIENCE = 10.0


def test_jobs_lead_to_jobs() -> None:
    def halve(number: int) -> tuple[list[int], list[int]]:
        return [number], [number // 2] if number > 1 else []

    assert sorted(unfold([8, 3], halve, 2)) == [1, 1, 2, 3, 4, 8]


def test_no_more_run_at_once_than_may() -> None:
    running, most = 0, 0
    lock, all_there = threading.Lock(), threading.Barrier(3)

    def work(number: int) -> tuple[list[int], list[int]]:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        all_there.wait(PATIENCE)
        with lock:
            running -= 1
        return [number], []

    assert sorted(unfold(range(9), work, 3)) == list(range(9))
    assert most == 3


def test_the_next_job_is_begun_while_a_result_is_dealt_with() -> None:
    begun = [threading.Event(), threading.Event()]

    def work(number: int) -> tuple[list[int], list[int]]:
        begun[number].set()
        return [number], []

    results = unfold([0, 1], work, 1)
    assert next(results) == 0
    assert begun[1].wait(PATIENCE)
