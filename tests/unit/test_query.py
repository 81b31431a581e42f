"""What is behind the question mark of a URL is read strictly, and mistakes are told."""

from typing import Any

import pytest
from msgspec import UNSET

from exporter.model import Provider, State
from exporter.report.board import Sort, Wish
from exporter.web.query import NoQuery, Order, QueryError, TaskQuery, TaskType, read_query


def test_given_nothing_then_every_task_is_wanted_a_hundred_at_a_time() -> None:
    query = read_query(TaskQuery, b"")

    assert query.wish() == Wish()
    assert (query.offset, query.limit, query.stalled) == (0, 100, UNSET)


def test_given_everything_then_it_is_all_read() -> None:
    query = read_query(
        TaskQuery,
        b"provider=qencode&account=vod&account=a%2Fb&state=failed&state=queued&task_type=export-data"
        b"&stalled=true&search=caf%C3%A9+au%20lait&sort=changed&order=desc&offset=20&limit=10",
    )

    assert query.wish() == Wish(
        providers=frozenset({Provider.QENCODE}),
        accounts=frozenset({"vod", "a/b"}),
        states=frozenset({State.FAILED, State.QUEUED}),
        task_types=frozenset({"export-data"}),
        stalled=True,
        search="café au lait",
        sort=Sort.CHANGED,
        descending=True,
    )
    assert (query.offset, query.limit) == (20, 10)


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        (b"stalled=false", "stalled", False),
        (b"order=asc", "order", Order.ASC),
        (b"limit=1", "limit", 1),
        (b"limit=1000", "limit", 1000),
        (b"offset=0", "offset", 0),
        (b"offset=1000000000", "offset", 1_000_000_000),
        (b"search=", "search", ""),
        (b"search", "search", ""),
        (b"search=a;b", "search", "a;b"),
        (b"state=failed&state=failed", "state", (State.FAILED, State.FAILED)),
        (b"task_type=other", "task_type", (TaskType("other"),)),
        (b"%6Cimit=7", "limit", 7),
    ],
)
def test_a_value(text: bytes, name: str, value: Any) -> None:
    assert getattr(read_query(TaskQuery, text), name) == value


WHOLE = "write a whole number from 1 to 1000"
TYPES = "clip, export, export-data, import, other, transcode, transcode-file or upload"
PARAMETERS = "provider, account, state, task_type, stalled, search, sort, order, offset, limit"


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("limit=0", f"limit can't be '0': {WHOLE}"),
        ("limit=1001", f"limit can't be '1001': {WHOLE}"),
        ("limit=", f"limit can't be '': {WHOLE}"),
        ("limit=1e2", f"limit can't be '1e2': {WHOLE}"),
        ("limit=%2B5", f"limit can't be '+5': {WHOLE}"),
        ("limit=05", f"limit can't be '05': {WHOLE}"),
        ("limit=5.0", f"limit can't be '5.0': {WHOLE}"),
        ("limit=1_0", f"limit can't be '1_0': {WHOLE}"),
        ("limit=%D9%A3", f"limit can't be '٣': {WHOLE}"),
        ("limit=5%0A", f"limit can't be '5\\n': {WHOLE}"),
        ("offset=-1", "offset can't be '-1': write a whole number from 0 to 1000000000"),
        (
            "offset=" + "9" * 50,
            f"offset can't be '{'9' * 40}…': write a whole number from 0 to 1000000000",
        ),
        ("stalled=1", "stalled can't be '1': write true or false"),
        ("stalled=True", "stalled can't be 'True': write true or false"),
        ("order=up", "order can't be 'up': write asc or desc"),
        ("provider=aws", "provider can't be 'aws': write qencode or livepeer"),
        (
            "state=failed&state=faild",
            "state can't be 'faild': write queued, running, completed, failed, cancelled or unknown",
        ),
        (
            "sort=",
            "sort can't be '': write urgency, task, account, state, progress, retries, created or changed",
        ),
        (
            "task_type=Upload",
            f"task_type can't be 'Upload': write {TYPES}",
        ),
        ("account=", "account can't be '': write something, or leave it out"),
        ("limit=1&limit=1", "limit is given 2 times: write it once"),
        ("search=a&search=b", "search is given 2 times: write it once"),
        ("limt=5", "unknown parameter 'limt': did you mean limit?"),
        (
            "q=5",
            f"unknown parameter 'q': the parameters are {PARAMETERS}",
        ),
        ("limit=0&order=up", f"order can't be 'up': write asc or desc; limit can't be '0': {WHOLE}"),
        ("search=%ff", "the query is not UTF-8; write other characters like %C3%A9"),
        ("search=é", "the query is not UTF-8; write other characters like %C3%A9"),
    ],
)
def test_a_mistake_is_told_with_its_place_and_its_remedy(text: str, mistake: str) -> None:
    with pytest.raises(QueryError) as error:
        read_query(TaskQuery, text.encode())

    assert str(error.value) == mistake


def test_given_no_parameters_then_any_is_refused() -> None:
    assert read_query(NoQuery, b"") == NoQuery()
    with pytest.raises(QueryError, match=r"^unknown parameter 'limit': there are none here$"):
        read_query(NoQuery, b"limit=1")
