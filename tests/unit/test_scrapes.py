"""How many scrapes may do what at once?"""

import threading

from exporter.web.scrapes import RENDERING, Scrapes
from tests.processes import wait_until


def test_only_so_many_scrapes_are_rendered_at_once_and_each_has_its_turn() -> None:
    scrapes, end, done = Scrapes(0.5), threading.Event(), []
    inside = 0
    most = 0
    lock = threading.Lock()

    def render() -> None:
        nonlocal inside, most
        with scrapes.rendering():
            with lock:
                inside += 1
                most = max(most, inside)
            assert end.wait(10)
            with lock:
                inside -= 1
                done.append(True)

    threads = [threading.Thread(target=render) for _ in range(RENDERING + 3)]
    for thread in threads:
        thread.start()
    wait_until(lambda: inside == RENDERING, 10, "as many as may be are inside")
    end.set()
    for thread in threads:
        thread.join(10)

    assert (most, len(done)) == (RENDERING, RENDERING + 3)
