"""Threads that work for requests: for nobody who has left, and at passwords for each client in its turn."""

import asyncio
import os
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from ipaddress import IPv6Address, ip_address
from typing import Any, Final, TypeVar

T = TypeVar("T")
Left = asyncio.Future[Any]
"""Is done once who asked has left."""

AT_ONCE: Final = max(1, min(4, (os.cpu_count() or 1) // 2))
"""Passwords that are looked at in one moment. Each keeps a core busy, and some must be left for scrapes."""

WAITING: Final = 8
"""Passwords of one client that wait for their turn."""

_PATIENCE: Final = 3.0
_PREFIX: Final = 64
"""Bits of an IPv6 address: whoever has one usually has all that share them."""


class LeftError(Exception):
    """Who asked has left."""


class BusyError(Exception):
    """Too much waits already: ask again."""


async def work(pool: Executor, left: Left, task: Callable[[], T]) -> T:
    """Return the result of what a thread does; it is not begun if who asked has left before.

    Raises:
        LeftError: who asked has left.
    """
    working = asyncio.get_running_loop().run_in_executor(pool, task)
    await asyncio.wait((working, left), return_when=asyncio.FIRST_COMPLETED)
    if not working.done():
        working.cancel()
        raise LeftError
    return working.result()


class Doormen:
    """Look at passwords, few at once, since each takes some 100 ms; one of each client after the other.

    So whoever tries one password after the other waits behind its own, and holds up another client for the
    time of one. Nobody learns anything from it: who waits for how long depends on addresses, not on users.
    To be used in one event loop.
    """

    def __init__(
        self, *, at_once: int = AT_ONCE, waiting: int = WAITING, patience: float = _PATIENCE
    ) -> None:
        """Start no thread yet.

        Args:
            at_once: Passwords that are looked at in one moment.
            waiting: Passwords of one client that wait for their turn.
            patience: Seconds that a password waits for it.
        """
        self._pool = ThreadPoolExecutor(at_once, "password")
        self._free = at_once
        self._waiting = waiting
        self._patience = patience
        self._queues: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    async def look(self, client: str, left: Left, task: Callable[[], T]) -> T:
        """Return the result of a look, once it is the client's turn.

        Args:
            client: Its address; empty if it has none.
            left: Whether it has left.
            task: The look, in a thread.

        Raises:
            BusyError: too much of this client waits, or it has waited for too long.
            LeftError: it has left.
        """
        whose = neighbourhood(client)
        await self._turn(whose, left)
        looking = asyncio.get_running_loop().run_in_executor(self._pool, task)
        # Not before its end, even if nobody waits for it any more: until then it keeps a core busy.
        looking.add_done_callback(lambda _: self._hand_on(whose))
        await asyncio.wait((looking, left), return_when=asyncio.FIRST_COMPLETED)
        if not looking.done():
            raise LeftError
        return looking.result()

    def close(self) -> None:
        """Begin no look any more; nobody is waited for."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _turn(self, client: str, left: Left) -> None:
        if self._free:
            self._free -= 1
            return
        queue = self._queues.setdefault(client, deque())
        if len(queue) >= self._waiting:
            raise BusyError
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.append(turn)
        await asyncio.wait((turn, left), timeout=self._patience, return_when=asyncio.FIRST_COMPLETED)
        if not turn.done():
            queue.remove(turn)
            if not queue:
                del self._queues[client]
            raise LeftError if left.done() else BusyError

    def _hand_on(self, last: str) -> None:
        """Give the turn to whoever of the next client waits longest; who had the last one comes last."""
        if not self._queues:
            self._free += 1
            return
        if last in self._queues:
            self._queues.move_to_end(last)
        client, queue = self._queues.popitem(last=False)
        queue.popleft().set_result(None)
        if queue:
            self._queues[client] = queue


def neighbourhood(address: str) -> str:
    """Return what all addresses have in common that one client easily has at its disposal.

    >>> neighbourhood("192.0.2.1"), neighbourhood("2001:db8::5:1"), neighbourhood("::ffff:192.0.2.1")
    ('192.0.2.1', '2001:db8::', '192.0.2.1')
    """
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if not isinstance(found, IPv6Address):
        return str(found)
    if found.ipv4_mapped:
        return str(found.ipv4_mapped)
    return str(IPv6Address(int(found) >> (128 - _PREFIX) << (128 - _PREFIX)))
