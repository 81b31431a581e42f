"""Passwords are looked at few at once, and one client that tries many holds up itself, not the others."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from exporter.server.work import BusyError, Doormen, LeftError, neighbourhood, work
from tests.processes import wait_until

EVE, ALICE = "192.0.2.1", "192.0.2.2"


class Looks:
    """Stand for looks at passwords, which end when they are let go."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.ended: list[str] = []
        self.go = threading.Semaphore(0)

    def at(self, name: str) -> Callable[[], str]:
        def look() -> str:
            self.begun.append(name)
            assert self.go.acquire(timeout=20)
            self.ended.append(name)
            return name

        return look

    def let_go(self, number: int = 1) -> None:
        self.go.release(number)


class Porch:
    """Doormen, and who stands before them; everybody comes in the order of the calls."""

    def __init__(self, **limits: Any) -> None:
        self.doormen = Doormen(**limits)
        self.looks = Looks()

    async def comes(
        self, client: str, name: str, left: asyncio.Future[None] | None = None
    ) -> asyncio.Task[str]:
        """Let somebody come with a password; return once it waits, or is looked at."""
        left = left or asyncio.get_running_loop().create_future()
        task = asyncio.create_task(self.doormen.look(client, left, self.looks.at(name)))
        await asyncio.sleep(0)
        return task

    async def seen(self, number: int) -> None:
        """Wait until so many looks have begun."""
        await asyncio.to_thread(wait_until, lambda: len(self.looks.begun) >= number, 20, "looks begin")

    async def all_done(self, *tasks: asyncio.Task[str]) -> list[str]:
        """Let all go, and return what became of them."""
        self.looks.let_go(len(tasks))
        return list(await asyncio.gather(*tasks))


def run(scene: Callable[[Porch], Coroutine[Any, Any, None]], **limits: Any) -> None:
    async def play() -> None:
        porch = Porch(**limits)
        try:
            await scene(porch)
        finally:
            porch.looks.let_go(1000)
            porch.doormen.close()

    asyncio.run(play())


def test_given_a_client_that_tries_many_when_another_one_comes_then_it_is_the_next() -> None:
    async def scene(porch: Porch) -> None:
        tries = [await porch.comes(EVE, f"wrong {number}") for number in range(6)]
        right = await porch.comes(ALICE, "right")

        assert await porch.all_done(*tries, right) == [f"wrong {n}" for n in range(6)] + ["right"]
        assert porch.looks.begun == [
            "wrong 0",
            "right",
            "wrong 1",
            "wrong 2",
            "wrong 3",
            "wrong 4",
            "wrong 5",
        ]

    run(scene, at_once=1)


def test_given_three_clients_then_each_has_its_turn_before_one_has_it_again() -> None:
    async def scene(porch: Porch) -> None:
        tries = ((EVE, "first"), ("a", "a1"), ("a", "a2"), ("b", "b1"), ("b", "b2"), ("c", "c1"))
        await porch.all_done(*[await porch.comes(client, name) for client, name in tries])

        assert porch.looks.begun == ["first", "a1", "b1", "c1", "a2", "b2"]

    run(scene, at_once=1)


def test_given_a_client_with_too_many_then_it_is_sent_away_and_no_other_one_is() -> None:
    async def scene(porch: Porch) -> None:
        waiting = [await porch.comes(EVE, str(number)) for number in range(4)]
        one_more = await porch.comes(EVE, "one more")
        other = await porch.comes(ALICE, "other")

        with pytest.raises(BusyError):
            await one_more
        assert await porch.all_done(*waiting, other) == ["0", "1", "2", "3", "other"]

    run(scene, at_once=1, waiting=3)


def test_given_addresses_of_one_ipv6_network_then_they_count_as_one_client() -> None:
    async def scene(porch: Porch) -> None:
        tasks = [await porch.comes(f"2001:db8::{number}", str(number)) for number in range(3)]

        with pytest.raises(BusyError):
            await tasks[2]
        await porch.all_done(*tasks[:2])

    run(scene, at_once=1, waiting=1)


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("fe80::1%eth0", "fe80::"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("", ""),
        ("not an address", "not an address"),
    ],
)
def test_a_client_is_told_by_what_it_can_not_easily_change(address: str, client: str) -> None:
    assert neighbourhood(address) == client


def test_no_more_are_looked_at_at_once_than_may_be() -> None:
    async def scene(porch: Porch) -> None:
        tasks = [await porch.comes(f"192.0.2.{number}", str(number)) for number in range(5)]
        await porch.seen(2)
        for ended in range(1, 4):
            porch.looks.let_go()
            await porch.seen(2 + ended)
            assert len(porch.looks.begun) == 2 + len(porch.looks.ended)
        await porch.all_done(*tasks)

        assert sorted(porch.looks.begun) == ["0", "1", "2", "3", "4"]

    run(scene, at_once=2)


def test_given_one_that_waits_for_too_long_then_it_is_sent_away_and_never_looked_at() -> None:
    async def scene(porch: Porch) -> None:
        first = await porch.comes(EVE, "first")
        late = await porch.comes(ALICE, "late")

        with pytest.raises(BusyError):
            await late
        await porch.all_done(first)
        again = await porch.comes(ALICE, "again")
        assert await porch.all_done(again) == ["again"]
        assert porch.looks.begun == ["first", "again"]

    run(scene, at_once=1, patience=0.05)


def test_given_one_that_leaves_while_it_waits_then_its_place_is_free_and_it_is_never_looked_at() -> None:
    async def scene(porch: Porch) -> None:
        left: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        first = await porch.comes(EVE, "first")
        leaving = await porch.comes(EVE, "leaving", left)
        left.set_result(None)
        with pytest.raises(LeftError):
            await leaving
        next_one = await porch.comes(EVE, "next")

        assert await porch.all_done(first, next_one) == ["first", "next"]
        assert porch.looks.begun == ["first", "next"]

    run(scene, at_once=1, waiting=1)


def test_given_one_that_leaves_while_it_is_looked_at_then_its_turn_goes_on_until_the_end_of_the_look() -> (
    None
):
    async def scene(porch: Porch) -> None:
        left: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        leaving = await porch.comes(EVE, "leaving", left)
        await porch.seen(1)
        left.set_result(None)
        with pytest.raises(LeftError):
            await leaving
        tries = [await porch.comes(EVE, f"wrong {number}") for number in range(3)]
        right = await porch.comes(ALICE, "right")
        porch.looks.let_go()
        await porch.all_done(*tries, right)

        assert porch.looks.begun == ["leaving", "right", "wrong 0", "wrong 1", "wrong 2"]

    run(scene, at_once=1)


def test_given_a_look_that_fails_then_the_next_one_still_has_its_turn() -> None:
    def fail() -> str:
        raise ZeroDivisionError

    async def scene(porch: Porch) -> None:
        stays: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        with pytest.raises(ZeroDivisionError):
            await porch.doormen.look(EVE, stays, fail)

        assert await porch.all_done(await porch.comes(EVE, "next")) == ["next"]

    run(scene, at_once=1)


def test_given_somebody_who_left_before_a_thread_was_free_then_its_work_is_not_begun() -> None:
    async def scene() -> None:
        looks, left = Looks(), asyncio.get_running_loop().create_future()
        stays: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        with ThreadPoolExecutor(1) as pool:
            busy = asyncio.create_task(work(pool, stays, looks.at("busy")))
            await asyncio.to_thread(wait_until, lambda: looks.begun, 20, "the thread is busy")
            leaving = asyncio.create_task(work(pool, left, looks.at("leaving")))
            await asyncio.sleep(0)
            left.set_result(None)
            with pytest.raises(LeftError):
                await leaving
            looks.let_go(2)
            assert await busy == "busy"

        assert looks.begun == ["busy"]

    asyncio.run(scene())
