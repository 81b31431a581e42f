"""Servers that refuse, ignore or cut what is asked of Livepeer's list: still all tasks are known."""

import json
from collections.abc import Iterable

import pytest

from exporter.config import PollConfig
from exporter.simulator import Simulator
from tests.livepeer_support import DAY, POLL, STUDIO, Studio, errors, record, tasks, watch
from tests.support import START, DrivenClock, exporting, total, value
from tests.wire import Asked, Wire, http


class Plain:
    """A server whose list is newest first, 20 tasks a page, and which takes the known parameters only."""

    def __init__(self, number: int, *, known: Iterable[str] = (), refuse: bool = False) -> None:
        self.records = [record(each, START - 60 * each) for each in range(number)]
        self.known = {"cursor", *known}
        self.refuse = refuse
        self.host = "127.0.0.1:1"

    def answer(self, asked: Asked) -> bytes:
        if asked.path != "/api/task":
            alone = next(each for each in self.records if asked.path == f"/api/task/{each['id']}")
            return http(200, json.dumps(alone).encode())
        if self.refuse and not asked.query.keys() <= self.known:
            return http(400, b'{"errors":["error parsing filters"]}')
        limit = int(asked.query.get("limit", "20")) if "limit" in self.known else 20
        skip = int(asked.query.get("cursor", "skip0").removeprefix("skip"))
        page = self.records[skip : skip + limit]
        if not page:
            return http(200, b"[]")
        cursor = f"skip{skip + limit}" if len(page) == limit else "undefined"
        link = f'Link: <http://{self.host}/api/task?cursor={cursor}>; rel="next"'
        return http(200, json.dumps(page).encode(), link)


@pytest.mark.parametrize("refuse", [True, False], ids=["refused", "ignored"])
@pytest.mark.parametrize("known", [(), ("limit",)], ids=["20-a-page", "limit"])
@pytest.mark.parametrize("number", [1, 20, 70])
def test_given_a_server_that_does_not_take_our_parameters_when_scraped_then_still_all_tasks_are_known(
    clock: DrivenClock, refuse: bool, known: tuple[str, ...], number: int
) -> None:
    plain = Plain(number, known=known, refuse=refuse)
    with Wire(plain.answer) as wire, exporting(clock, watch(wire), poll=POLL) as exporter:
        exporter.refresh(30)

        assert tasks(exporter) == {each["id"] for each in plain.records}
        assert value(exporter, "transcoding_up", **STUDIO) == 1
        assert len(wire.asked) <= 8


def test_given_a_plain_list_that_breaks_off_when_scraped_again_then_its_older_part_comes_too(
    clock: DrivenClock,
) -> None:
    def answer(asked: Asked) -> bytes:
        return http(404) if breaks and "cursor" in asked.query else plain.answer(asked)

    plain, breaks = Plain(70, refuse=True), True
    with Wire(answer) as wire, exporting(clock, watch(wire), poll=POLL) as exporter:
        exporter.refresh(30)
        assert len(tasks(exporter)) == 20

        breaks = False
        exporter.refresh(30)
        assert len(tasks(exporter)) == 70


def test_given_a_server_that_refuses_our_parameters_when_scraped_on_then_a_scrape_is_one_request_for_an_hour(
    simulator: Simulator, clock: DrivenClock
) -> None:
    plain = Plain(70, refuse=True)
    with Wire(plain.answer) as wire, exporting(clock, watch(wire), poll=POLL) as exporter:
        exporter.refresh(30)
        first = len(wire.asked)
        for _ in range(100):
            simulator.clock.advance(30)
            del wire.asked[:]
            plain.records.insert(0, record(len(plain.records), clock.time() - 1))
            exporter.refresh(30)
            assert [asked.path for asked in wire.asked if asked.path == "/api/task"] == ["/api/task"]
            assert "filters" not in wire.asked[0].query

        assert tasks(exporter) == {each["id"] for each in plain.records}
        assert total(exporter, "transcoding_task_phase_entries_total") == 170
        assert errors(exporter) == {"client": 2}
        assert first == 6

        simulator.clock.advance(600)
        del wire.asked[:]
        exporter.refresh(30)
        assert "filters" in wire.asked[0].query


def test_given_a_plain_list_of_old_tasks_when_scraped_for_weeks_then_none_counts_twice(
    simulator: Simulator, clock: DrivenClock
) -> None:
    plain = Plain(0, refuse=True)
    short = PollConfig(min_poll_interval=0, retention=900.0)
    with Wire(plain.answer) as wire, exporting(clock, watch(wire), poll=short) as exporter:
        exporter.refresh(30)
        for number in range(40):
            simulator.clock.advance(DAY / 2)
            plain.records.insert(0, record(number, clock.time() - 1, "failed"))
            for _ in range(2):
                exporter.refresh(30)

        assert total(exporter, "transcoding_task_failures_total") == 40


def test_given_a_server_that_cuts_our_limit_when_scraped_then_all_tasks_are_known(clock: DrivenClock) -> None:
    def answer(asked: Asked) -> bytes:
        limited = asked.target.replace("limit=1000", "limit=100")
        answer = studio.answer(Asked(limited, asked.headers))
        body = answer.partition(b"\r\n\r\n")[2]
        cursor = "skip100" if len(json.loads(body)) == 100 else "undefined"
        return http(200, body, f'Link: <http://x/api/task?cursor={cursor}>; rel="next"')

    studio = Studio([record(each, START - each // 2) for each in range(350)], lambda _: None)
    with Wire(answer) as wire, exporting(clock, watch(wire), poll=POLL) as exporter:
        exporter.refresh(30)

        assert len(tasks(exporter)) == 350


def test_given_a_link_to_another_host_when_read_on_then_only_its_cursor_is_used(clock: DrivenClock) -> None:
    with Wire(lambda _: http(200, b"[]")) as elsewhere:
        plain = Plain(50, refuse=True)
        plain.host = elsewhere.url.removeprefix("http://")
        with Wire(plain.answer) as wire, exporting(clock, watch(wire), poll=POLL) as exporter:
            exporter.refresh(30)

            assert len(tasks(exporter)) == 50
            assert {asked.headers["authorization"] for asked in wire.asked} == {"Bearer 0000"}
        assert elsewhere.connections == 0


def test_given_the_same_full_page_for_ever_when_scraped_then_it_ends(clock: DrivenClock) -> None:
    page = json.dumps([record(each, START) for each in range(20)]).encode()
    counter = iter(range(1000))

    def answer(asked: Asked) -> bytes:
        cursor = f"skip{next(counter)}"
        return http(200, page, f'Link: <http://x/api/task?cursor={cursor}>; rel="next"')

    with Wire(answer) as wire, exporting(clock, watch(wire), poll=POLL) as exporter:
        exporter.refresh(30)

        assert len(tasks(exporter)) == 20
        assert len(wire.asked) <= 6
