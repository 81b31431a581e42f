"""The simulated Livepeer answers as the vendor's real server did (recorded in tests/data/livepeer)."""

import http.client
import json
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

import pytest

from exporter.simulator import (
    LivepeerAccount,
    LivepeerChange,
    LivepeerEvent,
    SimulatedClock,
    Simulator,
)
from exporter.simulator import server as simulator_server

SAMPLES = Path(__file__).parent.parent / "data" / "livepeer"
# The host under which the samples were recorded: the server builds its Link from what the client calls it.
RECORDED_HOST = "127.0.0.1:3004"


class Answer(NamedTuple):
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def ids(self) -> list[str]:
        return [task["id"] for task in json.loads(self.body)]

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name), None)

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def recorded(name: str) -> Answer:
    head, _, body = (SAMPLES / f"{name}.http").read_bytes().partition(b"\r\n\r\n")
    status_line, *lines = head.decode("latin-1").split("\r\n")
    headers = [tuple(line.split(": ", 1)) for line in lines]
    return Answer(int(status_line.split()[1]), without_date(headers), body)


def without_date(headers: list[Any]) -> list[tuple[str, str]]:
    """The moment of recording is the one thing that cannot be the same."""
    return [(name, value) for name, value in headers if name != "Date"]


@pytest.fixture
def clock() -> SimulatedClock:
    return SimulatedClock(start=1_795_300_000.0, speed=0.0)


@pytest.fixture
def simulator(clock: SimulatedClock) -> Iterator[Simulator]:
    with Simulator(clock=clock) as running:
        yield running


@pytest.fixture
def account(simulator: Simulator) -> LivepeerAccount:
    return simulator.livepeer.account


def ask(simulator: Simulator, path: str, **headers: str) -> Answer:
    """Ask as the account; `_` in a header's name stands for `-`, an empty value leaves the header out."""
    sent = {"Host": RECORDED_HOST, "Authorization": f"Bearer {simulator.livepeer_key}"}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    url = urlsplit(simulator.livepeer_url)
    connection = http.client.HTTPConnection(str(url.hostname), url.port, timeout=10)
    try:
        connection.request("GET", f"{url.path}{path}", headers={k: v for k, v in sent.items() if v})
        answer = connection.getresponse()
        return Answer(answer.status, without_date(answer.getheaders()), answer.read())
    finally:
        connection.close()


def filtered(*filters: object) -> str:
    """Filters as a client must write them: encoded once for itself and once for the query string."""
    return "filters=" + quote(quote(json.dumps(list(filters))))


def load(account: LivepeerAccount, *names: str) -> int:
    tasks = {task["id"]: task for name in names for task in json.loads(sample_body(name))}
    return len(account.load(list(tasks.values())))


def sample_body(name: str) -> bytes:
    path = SAMPLES / f"{name}.json"
    return path.read_bytes() if path.exists() else recorded(name).body


# --- the recorded questions ------------------------------------------------------------------------


def big_account(account: LivepeerAccount) -> None:
    """What the samples show of the account with 2,350 tasks."""
    load(account, "one-of-each-type-and-phase", "list-default", "list-short-last-page")


def account_of(name: str) -> Callable[[LivepeerAccount], None]:
    def world(account: LivepeerAccount) -> None:
        load(account, name)

    return world


def suspended(account: LivepeerAccount) -> None:
    account.suspended = True


def with_bad_record(account: LivepeerAccount) -> None:
    account.add_bad_record()


def empty(account: LivepeerAccount) -> None:
    assert account.rows() == []


UNKNOWN_FILTER = filtered({"id": "phase", "value": "running"})
TIME_AS_TEXT = filtered({"id": "updatedAt", "value": {"gte": "2026-11-01"}})


@pytest.mark.parametrize(
    ("name", "world", "path", "headers"),
    [
        ("list-default", big_account, "/task", {}),
        ("list-exactly-20", account_of("list-exactly-20"), "/task", {}),
        ("list-lifecycle", account_of("list-lifecycle"), "/task", {}),
        ("list-empty", empty, "/task", {}),
        ("list-past-the-end", big_account, "/task?cursor=skip5000", {}),
        ("list-cursor-undefined", big_account, "/task?cursor=undefined", {}),
        ("error-no-auth", big_account, "/task", {"Authorization": ""}),
        ("error-wrong-key", big_account, "/task", {"Authorization": "Bearer not-a-key-123"}),
        ("error-suspended", suspended, "/task", {}),
        ("error-not-found", big_account, "/task/no-such-task", {}),
        ("error-unknown-filter", big_account, f"/task?{UNKNOWN_FILTER}", {}),
        ("error-time-as-text", big_account, f"/task?{TIME_AS_TEXT}", {}),
        ("error-one-bad-record", with_bad_record, "/task", {}),
    ],
)
def test_given_a_recorded_question_when_asked_then_the_answer_is_the_recorded_one(
    simulator: Simulator,
    account: LivepeerAccount,
    name: str,
    world: Callable[[LivepeerAccount], None],
    path: str,
    headers: dict[str, str],
) -> None:
    world(account)

    answer = ask(simulator, path, **headers)

    assert answer == recorded(name)


def test_given_the_last_page_when_short_then_it_is_the_recorded_one(
    simulator: Simulator, account: LivepeerAccount
) -> None:
    total = load(account, "one-of-each-type-and-phase", "list-default", "list-short-last-page")

    answer = ask(simulator, f"/task?limit=1000&cursor=skip{total - 5}")

    assert answer == recorded("list-short-last-page")


def test_given_every_recorded_task_when_asked_alone_then_it_is_the_recorded_one(
    simulator: Simulator, account: LivepeerAccount
) -> None:
    tasks = json.loads(sample_body("one-of-each-type-and-phase"))
    account.load(tasks)

    for task in tasks:
        answer = ask(simulator, f"/task/{task['id']}")
        compact = json.dumps(task, ensure_ascii=False, separators=(",", ":")).encode()
        assert (answer.status, answer.body) == (200, compact)


def test_given_every_type_and_phase_when_made_by_hand_then_the_fields_are_those_of_the_recorded_ones(
    simulator: Simulator, account: LivepeerAccount
) -> None:
    for task in json.loads(sample_body("one-of-each-type-and-phase")):
        if task["type"] == "import":
            continue  # older records, made before today's fields
        mine = account.add(task["type"])
        drive(account, mine, task["status"])

        made = ask(simulator, f"/task/{mine}").json

        # Some recorded tasks are older than projects.
        assert [name for name in made if name in task or name != "projectId"] == list(task)
        assert list(made["status"]) == list(task["status"])
        assert keys_at_every_depth(made.get("output")) == keys_at_every_depth(task.get("output"))


def drive(account: LivepeerAccount, task: str, status: dict[str, Any]) -> None:
    """Lead a task to a recorded status by the changes that lead there."""
    if status["phase"] == "pending":
        return
    account.schedule(task)
    for attempt in range(status.get("retries", 0)):
        account.progress(task, 0.1)
        account.fail_and_retry(task, "boom")
        if attempt + 1 < status["retries"] or status["phase"] != "waiting":
            account.resume(task)
    final = {
        "waiting": lambda: None,
        "running": lambda: account.progress(task, status["progress"]),
        "completed": lambda: account.complete(task),
        "failed": lambda: account.fail(task, status["errorMessage"]),
        "cancelled": lambda: account.cancel(task),
    }
    final[status["phase"]]()


def keys_at_every_depth(value: Any) -> Any:
    match value:
        case dict():
            return [(key, keys_at_every_depth(item)) for key, item in value.items()]
        case list():
            return [keys_at_every_depth(item) for item in value]
        case _:
            return type(value).__name__ if not isinstance(value, int | float) else "number"


# --- pages -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limit", "shown"),
    [("", 20), ("limit=5", 5), ("limit=0", 20), ("limit=-3", 20), ("limit=many", 20), ("limit=5000", 1000)],
)
def test_given_a_limit_when_listed_then_the_page_has_that_size(
    simulator: Simulator, account: LivepeerAccount, limit: str, shown: int
) -> None:
    for _ in range(1001):
        account.add()

    answer = ask(simulator, f"/task?{limit}")

    assert len(answer.ids) == shown
    assert f"cursor=skip{shown}>" in str(answer.header("Link"))


def test_given_changing_tasks_when_paged_by_offset_then_one_is_missed_and_another_comes_twice(
    simulator: Simulator, account: LivepeerAccount, clock: SimulatedClock
) -> None:
    oldest, *_ = tasks = [added_later(account, clock) for _ in range(4)]
    clock.advance(1)

    first = ask(simulator, "/task?limit=2").ids
    account.schedule(oldest)
    second = ask(simulator, "/task?limit=2&cursor=skip2").ids

    assert first == [tasks[3], tasks[2]]
    assert second == [tasks[2], tasks[1]]


def added_later(account: LivepeerAccount, clock: SimulatedClock, **fields: Any) -> str:
    clock.advance(1)
    return account.add(**fields)


def test_given_ids_above_the_word_undefined_when_the_last_link_is_followed_then_the_page_repeats(
    simulator: Simulator, account: LivepeerAccount
) -> None:
    account.add(id="zebra")

    page = ask(simulator, "/task?cursor=undefined")

    assert page.ids == ["zebra"]
    assert page.header("Link") == f'<http://{RECORDED_HOST}/api/task?cursor=undefined>; rel="next"'


def test_given_a_public_name_when_listed_then_the_link_says_plain_http_and_that_name(
    simulator: Simulator, account: LivepeerAccount
) -> None:
    account.add()

    answer = ask(simulator, "/task?order=a,b&cursor=skip0&limit=1", Host="livepeer.studio")

    link = '<http://livepeer.studio/api/task?order=a%2Cb&cursor=skip1&limit=1>; rel="next"'
    assert answer.header("Link") == link


@pytest.mark.parametrize("cursor", ["skip", "skipx", "skip-1", "skip1.5"])
def test_given_a_bad_cursor_when_listed_then_it_is_an_internal_error(
    simulator: Simulator, account: LivepeerAccount, cursor: str
) -> None:
    account.add()

    answer = ask(simulator, f"/task?cursor={cursor}")

    assert (answer.status, answer.json) == (500, {"errors": ["Internal server error: error"]})


def test_given_a_count_when_listed_then_the_total_is_told_but_not_on_an_empty_page(
    simulator: Simulator, account: LivepeerAccount
) -> None:
    assert ask(simulator, "/task?count=true").header("X-Total-Count") is None
    for _ in range(3):
        account.add()

    assert ask(simulator, "/task?count=true&limit=2").header("X-Total-Count") == "3"
    assert ask(simulator, "/task?count=true&cursor=skip3").header("X-Total-Count") is None


# --- order and filters -----------------------------------------------------------------------------


def test_given_no_order_when_listed_then_newest_update_first_then_newest_creation(
    simulator: Simulator, account: LivepeerAccount, clock: SimulatedClock
) -> None:
    first, second, third = (added_later(account, clock) for _ in range(3))
    clock.advance(1)
    account.schedule(first)
    account.schedule(second)

    assert ask(simulator, "/task").ids == [second, first, third]


def test_given_the_total_ascending_order_when_listed_then_equal_times_come_by_id(
    simulator: Simulator, account: LivepeerAccount, clock: SimulatedClock
) -> None:
    for name in ("c", "a", "b"):
        account.add(id=name)
    clock.advance(1)
    account.schedule("a")

    assert ask(simulator, "/task?order=updatedAt-false,id-false").ids == ["b", "c", "a"]


@pytest.mark.parametrize("order", ["phase-true", "updatedAt", "nonsense"])
def test_given_an_unknown_order_when_listed_then_it_is_ascending_id(
    simulator: Simulator, account: LivepeerAccount, clock: SimulatedClock, order: str
) -> None:
    for name in ("b", "c", "a"):
        added_later(account, clock, id=name)

    assert ask(simulator, f"/task?order={order}").ids == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("comparison", "found"),
    [("gt", ["3"]), ("gte", ["3", "2"]), ("lt", ["1"]), ("lte", ["2", "1"])],
)
@pytest.mark.parametrize("field", ["createdAt", "updatedAt"])
def test_given_a_comparison_of_time_when_listed_then_it_holds(
    simulator: Simulator,
    account: LivepeerAccount,
    clock: SimulatedClock,
    field: str,
    comparison: str,
    found: list[str],
) -> None:
    for name in ("1", "2", "3"):
        added_later(account, clock, id=name)
    middle = ask(simulator, "/task/2").json["createdAt"]

    query = filtered({"id": field, "value": {comparison: middle}})

    assert ask(simulator, f"/task?{query}").ids == found


def test_given_bare_values_when_listed_then_they_must_be_equal(
    simulator: Simulator, account: LivepeerAccount
) -> None:
    load(account, "one-of-each-type-and-phase")
    task = json.loads(sample_body("one-of-each-type-and-phase"))[1]

    for field in ("id", "type", "outputAssetId", "createdAt", "userId", "projectId"):
        shown = ask(simulator, f"/task?limit=50&{filtered({'id': field, 'value': task[field]})}").json
        assert shown, field
        assert {found[field] for found in shown} == {task[field]}
    by_time = filtered({"id": "updatedAt", "value": task["status"]["updatedAt"]})
    assert ask(simulator, f"/task?{by_time}").ids == [task["id"]]


def test_given_a_list_of_types_when_listed_then_it_silently_matches_nothing(
    simulator: Simulator, account: LivepeerAccount
) -> None:
    account.add("upload")

    answer = ask(simulator, f"/task?{filtered({'id': 'type', 'value': ['upload', 'clip']})}")

    assert (answer.status, answer.body) == (200, b"[]")


def test_given_unknown_parameters_when_listed_then_everything_comes_back(
    simulator: Simulator, account: LivepeerAccount
) -> None:
    account.add("upload")

    assert len(ask(simulator, "/task?phase=running&type=clip").ids) == 1


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        (filtered({"id": "updatedAt", "value": {"eq": 1}}), 'Error: unknown comparison: "eq"'),
        (filtered({"id": "phase"}), 'Error: missing filter value for id "phase"'),
        ("filters=" + quote('{"id": "type"}'), "Error: must be an array"),
        ("filters=" + quote("[not json"), "SyntaxError: "),
    ],
)
def test_given_a_bad_filter_when_listed_then_it_is_a_bad_request(
    simulator: Simulator, query: str, reason: str
) -> None:
    answer = ask(simulator, f"/task?{query}")

    assert answer.status == 400
    assert answer.json["errors"][0].startswith(f"error parsing filters: {reason}")


def test_given_a_percent_sign_in_a_filter_when_encoded_once_then_the_server_decodes_it_away(
    simulator: Simulator, account: LivepeerAccount
) -> None:
    account.add(id="100%41")
    filters = json.dumps([{"id": "id", "value": "100%41"}])

    once = ask(simulator, f"/task?filters={quote(filters)}")
    twice = ask(simulator, f"/task?filters={quote(quote(filters))}")

    assert once.ids == []
    assert twice.ids == ["100%41"]


def test_given_older_records_when_filtered_by_the_default_project_then_they_are_dropped(
    simulator: Simulator, account: LivepeerAccount
) -> None:
    account.add(id="old", projectId=None)
    account.add(id="new")

    query = filtered({"id": "projectId", "value": account.project_id})

    assert ask(simulator, f"/task?{query}").ids == ["new"]


# --- one task, other accounts, keys ----------------------------------------------------------------


def test_given_somebody_elses_task_when_asked_then_it_is_forbidden(
    simulator: Simulator, account: LivepeerAccount
) -> None:
    other = simulator.livepeer.new_account("other", "other-key")
    task = other.add()

    answer = ask(simulator, f"/task/{task}")

    assert (answer.status, ask(simulator, "/task").ids) == (403, [])


def test_given_deleted_tasks_when_asked_then_they_left_the_list_but_may_answer_alone(
    simulator: Simulator, account: LivepeerAccount, clock: SimulatedClock
) -> None:
    marked, purged = account.add(), account.add()
    clock.advance(5)
    account.delete(marked)
    account.delete(purged, purge=True)

    alone = ask(simulator, f"/task/{marked}").json

    assert ask(simulator, "/task").ids == []
    assert alone["deleted"] is True
    assert alone["status"]["updatedAt"] == alone["createdAt"]
    assert ask(simulator, f"/task/{purged}").status == 404


def test_given_a_key_for_browsers_or_an_origin_when_asked_then_it_is_forbidden(
    simulator: Simulator, account: LivepeerAccount
) -> None:
    assert ask(simulator, "/task", Origin="https://example.test").status == 403
    account.browser_only = True
    assert ask(simulator, "/task").status == 403


@pytest.mark.parametrize("header", ["Bearer", "not-a-key"])
def test_given_a_malformed_authorization_when_asked_then_nobody_is_authenticated(
    simulator: Simulator, header: str
) -> None:
    answer = ask(simulator, "/task", Authorization=header)

    assert (answer.status, answer.json) == (401, {"errors": ["request is not authenticated"]})


def test_given_a_revoked_key_when_asked_then_the_answer_echoes_it(simulator: Simulator) -> None:
    key = simulator.livepeer_key
    simulator.livepeer.new_account("other", "other-key")
    simulator.livepeer.revoke(key)

    answer = ask(simulator, "/task", Authorization=f"Bearer {key}")

    assert (answer.status, answer.json) == (401, {"errors": [f"no token {key} found"]})


# --- transfer --------------------------------------------------------------------------------------


def test_given_a_known_etag_when_asked_again_then_only_the_body_is_spared(
    simulator: Simulator, account: LivepeerAccount
) -> None:
    load(account, "list-exactly-20")
    etag = dict(recorded("list-exactly-20").headers)["ETag"]

    same = ask(simulator, "/task", If_None_Match=etag)
    forced = ask(simulator, "/task", If_None_Match=etag, Cache_Control="no-cache")
    other = ask(simulator, "/task", If_None_Match='W/"2-l9Fw4VUO7kr8CvBlt4zaMCqXZ0w"')

    assert (same.status, same.body, same.header("ETag")) == (304, b"", etag)
    assert same.header("Content-Length") is None
    assert (forced.status, other.status) == (200, 200)


def test_given_an_open_connection_when_idle_then_the_server_closes_it(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert simulator_server.Handler.timeout == 5
    monkeypatch.setattr(simulator_server.Handler, "timeout", 0.1)
    url = urlsplit(simulator.livepeer_url)
    with socket.create_connection((str(url.hostname), url.port or 0), timeout=5) as connection:
        connection.sendall(b"GET /api/task HTTP/1.1\r\nHost: localhost\r\n\r\n")
        received = b""
        while chunk := connection.recv(65536):
            received += chunk

    assert b"Keep-Alive: timeout=5\r\n" in received


def test_given_one_connection_when_used_twice_then_it_serves_both(simulator: Simulator) -> None:
    url = urlsplit(simulator.livepeer_url)
    connection = http.client.HTTPConnection(str(url.hostname), url.port, timeout=10)
    for _ in range(2):
        connection.request("GET", "/api/task", headers={"Authorization": f"Bearer {simulator.livepeer_key}"})
        assert connection.getresponse().read() == b"[]"
    connection.close()

    assert simulator.connections == 1
    assert [request.status for request in simulator.requests] == [200, 200]


# --- time ------------------------------------------------------------------------------------------


def test_given_a_change_that_readers_see_late_when_it_shows_then_its_time_is_the_older_one(
    simulator: Simulator, account: LivepeerAccount, clock: SimulatedClock
) -> None:
    late, prompt = account.add(), account.add()
    clock.advance(10)
    account.progress(late, 0.5, late=30)
    clock.advance(5)
    account.progress(prompt, 0.5)

    before = {task["id"]: task["status"] for task in ask(simulator, "/task").json}
    clock.advance(25)
    after = {task["id"]: task["status"] for task in ask(simulator, "/task").json}

    assert (before[late]["phase"], before[prompt]["phase"]) == ("pending", "running")
    assert after[late]["phase"] == "running"
    assert after[late]["updatedAt"] == before[prompt]["updatedAt"] - 5000


def test_given_a_lagging_replica_when_asked_then_everything_is_seen_late(
    simulator: Simulator, account: LivepeerAccount, clock: SimulatedClock
) -> None:
    account.lag = 5.0
    task = account.add()

    assert ask(simulator, f"/task/{task}").status == 404
    clock.advance(5)
    assert ask(simulator, "/task").ids == [task]


def test_given_a_script_when_time_passes_then_the_task_follows_it(
    simulator: Simulator, account: LivepeerAccount, clock: SimulatedClock
) -> None:
    script = [
        LivepeerChange(2, LivepeerEvent.SCHEDULED),
        LivepeerChange(10, LivepeerEvent.PROGRESS, progress=0.25),
        LivepeerChange(20, LivepeerEvent.FAILED, message="file has zero duration"),
    ]
    task = account.add("upload", script=script)
    start = clock.time() * 1000

    seen = []
    for _ in range(4):
        seen.append(ask(simulator, f"/task/{task}").json["status"])
        clock.advance(8)

    assert seen == [
        {"phase": "pending", "updatedAt": start},
        {"phase": "waiting", "retries": 0, "updatedAt": start + 2000},
        {"phase": "running", "retries": 0, "progress": 0.25, "updatedAt": start + 10000},
        {
            "phase": "failed",
            "retries": 0,
            "updatedAt": start + 20000,
            "errorMessage": "file has zero duration",
        },
    ]


# --- size ------------------------------------------------------------------------------------------


def test_given_2350_tasks_when_a_full_page_is_asked_then_it_takes_about_a_tenth_of_a_second(
    simulator: Simulator, account: LivepeerAccount, clock: SimulatedClock
) -> None:
    for _ in range(2350):
        account.complete(account.add("upload"))

    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        assert len(ask(simulator, "/task?limit=1000").ids) == 1000
        seconds.append(time.perf_counter() - start)

    assert min(seconds) < 0.15


def test_given_20000_tasks_when_paged_then_each_comes_once(
    simulator: Simulator, account: LivepeerAccount
) -> None:
    made = {account.add("transcode-file") for _ in range(20_000)}

    listed = [
        task
        for offset in range(0, 20_000, 1000)
        for task in ask(simulator, f"/task?limit=1000&cursor=skip{offset}&order=id-false").ids
    ]

    assert len(listed) == 20_000
    assert set(listed) == made
