"""The JSON API, asked over HTTP, in front of services that are simulated."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
import requests
from structlog.testing import capture_logs

from exporter import __version__
from exporter.assembly import Exporter
from exporter.config import LivepeerConfig, MetricsConfig, QencodeConfig, TaskLabel
from exporter.report.records import AccountList, StatusRecord, TaskPage, TaskRecord
from exporter.reporter import Reporter
from exporter.server.http_server import create_server
from exporter.server.listen import TcpAddress
from exporter.server.location import ROOT, Location, locate
from exporter.sharding import ALONE, Shard
from exporter.simulator import Fault, FaultKind, Simulator
from exporter.web.app import Site, create_app
from tests.support import DrivenClock, exporting, livepeer_config, qencode_config, total

MARKUP = "<script>alert('1 & \"2\"')</script>"


class Api:
    """The API as a client sees it."""

    def __init__(self, site: str, exporter: Exporter) -> None:
        self.base = f"{site}/api/v1"
        self.exporter = exporter

    def call(self, path: str, method: str = "GET") -> requests.Response:
        return requests.request(method, self.base + path, timeout=10)

    def get(self, path: str) -> Any:
        answer = self.call(path)
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json"), answer.text
        return answer.json()

    def tasks(self, query: str = "") -> list[str]:
        """The names of the tasks, in their order."""
        return [task["task"] for task in self.get(f"/tasks{query}")["tasks"]]

    def task(self, provider: str, account: str, task: str) -> requests.Response:
        return self.call("/tasks/" + "/".join(quote(name, safe="") for name in (provider, account, task)))


@contextmanager
def serving(
    clock: DrivenClock,
    *accounts: QencodeConfig | LivepeerConfig,
    metrics: MetricsConfig | None = None,
    location: Location = ROOT,
    shard: Shard = ALONE,
) -> Iterator[Api]:
    with exporting(clock, *accounts, metrics=metrics, shard=shard) as exporter:
        site = Site(
            exporter.exposition.render,
            exporter.refresh,
            Reporter(exporter),
            location=location,
        )
        server = create_server(create_app(site), TcpAddress("127.0.0.1", 0), location=location)
        server.start()
        try:
            yield Api(server.urls[0] + location.prefix, exporter)
        finally:
            assert server.leave(10)


@pytest.fixture
def tokens(simulator: Simulator) -> dict[str, str]:
    """Tokens of Qencode by what their jobs do."""
    return {phase: simulator.qencode.add(phase) for phase in ("queued", "encoding")}


@pytest.fixture
def api(simulator: Simulator, clock: DrivenClock, tokens: dict[str, str]) -> Iterator[Api]:
    """An account `vod` with two jobs, and an account `studio` with two tasks."""
    for kind in ("upload", "clip"):
        simulator.livepeer.account.add(kind, id=kind)
    accounts = (qencode_config(simulator, *tokens.values()), livepeer_config(simulator))
    with serving(clock, *accounts) as api:
        yield api


def error(answer: requests.Response) -> str:
    """The words of an answer that is nothing but an error in JSON."""
    assert answer.headers["Content-Type"] == "application/json"
    assert list(answer.json()) == ["error"]
    return str(answer.json()["error"])


# --- Tasks -----------------------------------------------------------------------------------------


def test_when_the_tasks_are_asked_for_then_due_polls_are_made_first(
    api: Api, simulator: Simulator, tokens: dict[str, str]
) -> None:
    assert set(api.tasks()) == {"upload", "clip", *tokens.values()}

    simulator.livepeer.account.schedule("upload")
    assert api.get("/tasks/livepeer/studio/upload")["phase"] == "pending", "no poll is due"
    simulator.clock.advance(5)
    assert api.get("/tasks/livepeer/studio/upload")["phase"] == "waiting"


def test_the_tasks_are_filtered_sorted_and_paged(api: Api, tokens: dict[str, str]) -> None:
    assert api.tasks("?provider=livepeer&sort=task") == ["clip", "upload"]
    assert api.tasks("?provider=livepeer&sort=task&order=desc") == ["upload", "clip"]
    assert api.tasks("?state=running") == [tokens["encoding"]]
    assert api.tasks("?task_type=clip&task_type=transcode&state=queued&account=studio") == ["clip"]
    assert api.tasks("?search=CLI") == ["clip"]
    assert api.tasks("?stalled=true") == []

    page = api.get("/tasks?account=studio&sort=task&offset=1&limit=1")
    assert [task["task"] for task in page["tasks"]] == ["upload"]
    assert (page["total"], page["offset"], page["limit"]) == (2, 1, 1)


def test_given_tasks_that_have_not_moved_for_long_then_they_are_stalled_and_on_top(
    api: Api, simulator: Simulator, tokens: dict[str, str]
) -> None:
    api.tasks()
    simulator.clock.advance(600)
    simulator.livepeer.account.schedule("upload")

    stalled = {"clip", *tokens.values()}
    assert set(api.tasks("?stalled=true")) == stalled
    assert api.tasks("?stalled=false") == ["upload"]
    assert set(api.tasks("?limit=3")) == stalled
    assert api.get("/status")["stalled"] == 3


def test_a_task_by_itself_is_the_same_as_on_the_page(api: Api) -> None:
    (on_page,) = api.get("/tasks?task_type=clip")["tasks"]

    assert api.get("/tasks/livepeer/studio/clip") == on_page
    assert msgspec.convert(on_page, TaskRecord).task_type == "clip"
    assert on_page["created"] == "2026-11-21T21:00:00Z"


@pytest.mark.parametrize("name", ["a/b", "a%2Fb", "é ñ", "a?b#c", "..", "a\\b", "+", "tasks/x/y/z", "<b>"])
def test_given_names_with_odd_characters_then_they_are_found_percent_encoded(
    simulator: Simulator, clock: DrivenClock, name: str
) -> None:
    simulator.livepeer.account.add("upload", id=f"task {name}")
    with serving(clock, livepeer_config(simulator, name=f"account {name}")) as api:
        answer = api.task("livepeer", f"account {name}", f"task {name}")

    assert answer.status_code == 200
    assert (answer.json()["account"], answer.json()["task"]) == (f"account {name}", f"task {name}")


# --- Tokens ----------------------------------------------------------------------------------------


def test_given_task_label_hash_then_a_job_is_found_by_hash_and_by_token_and_nothing_shows_the_token(
    simulator: Simulator, clock: DrivenClock
) -> None:
    token = simulator.qencode.add("encoding")
    shown = hashlib.sha256(token.encode()).hexdigest()[:12]
    hidden = MetricsConfig(task_label=TaskLabel.HASH)
    with capture_logs() as logs, serving(clock, qencode_config(simulator, token), metrics=hidden) as api:
        by_hash, by_token = api.task("qencode", "vod", shown), api.task("qencode", "vod", token)
        answers = [
            by_hash,
            by_token,
            api.call("/tasks"),
            api.call(f"/tasks?search={token}"),
            api.task("qencode", "nobody", token),
            api.task("qencode", token, "x"),
            api.task(token, "vod", "x"),
            api.task("livepeer", "studio", token),
            api.task("qencode", "vod", f"{token}0"),
            api.call(f"/tasks/qencode/vod/{token}", "POST"),
            api.call(f"/tasks/qencode/vod/{token}/x"),
            api.call(f"/tasks/qencode/vod/{token}?x=1"),
        ]

    assert by_hash.json()["task"] == shown
    assert by_token.json() == by_hash.json()
    assert answers[3].json()["total"] == 0
    assert [answer.status_code for answer in answers[4:]] == [404, 404, 404, 404, 404, 405, 404, 400]
    assert [answer.text for answer in answers if token in answer.text or token in str(answer.headers)] == []
    assert token not in str(logs)


# --- Accounts and status ---------------------------------------------------------------------------


def test_the_accounts_tell_how_they_are(api: Api, simulator: Simulator) -> None:
    simulator.faults.set("livepeer", Fault(FaultKind.SERVER_ERROR, status=503))

    studio, vod = msgspec.convert(api.get("/accounts"), AccountList).accounts

    assert (studio.account, studio.up, studio.outcome) == ("studio", False, "error")
    assert [(error.endpoint, error.reason) for error in studio.errors] == [("livepeer_list", "server")]
    assert (vod.account, vod.up, vod.outcome, vod.errors) == ("vod", True, "success", [])
    assert (vod.tasks.queued, vod.tasks.running) == (1, 1)


def test_the_status_tells_how_the_exporter_is(api: Api, simulator: Simulator) -> None:
    first = msgspec.convert(api.get("/status"), StatusRecord)
    assert (first.accounts_up, first.accounts_down) == (2, 0)
    simulator.faults.set("livepeer", Fault(FaultKind.SERVER_ERROR, status=503))
    simulator.clock.advance(90)

    told = api.get("/status")
    status = msgspec.convert(told, StatusRecord)

    assert (status.version, status.accounts_up, status.accounts_down) == (__version__, 1, 1)
    assert (told["started"], told["now"]) == ("2026-11-21T21:00:00Z", "2026-11-21T21:01:30Z")
    assert (status.tasks.queued, status.tasks.running, status.stalled, status.failed) == (3, 1, 0, 0)
    assert (status.config_reload_successful, status.ledger_degraded) == (True, False)
    assert (told["shard"], told["total_shards"]) == (0, 1), "alone"

    api.exporter.telemetry.misconfigured()
    api.exporter.telemetry.ledger_degraded(True)
    status = msgspec.convert(api.get("/status"), StatusRecord)
    assert (status.config_reload_successful, status.ledger_degraded) == (False, True)


def test_given_failures_from_before_we_watched_then_both_numbers_say_what_they_count(
    simulator: Simulator, clock: DrivenClock
) -> None:
    studio = simulator.livepeer.account
    for name in ("old", "older"):
        studio.fail(studio.add("upload", id=name))
    with serving(clock, livepeer_config(simulator)) as api:
        assert api.get("/status")["failed"] == 0
        simulator.clock.advance(60)
        studio.fail(studio.add("upload", id="new"))

        status, [account] = api.get("/status"), api.get("/accounts")["accounts"]
        listed = {task["task"]: task["history"] for task in api.get("/tasks?state=failed")["tasks"]}
        counted = total(api.exporter, "transcoding_failed_tasks")

    assert listed == {"new": False, "old": True, "older": True}
    assert [(one["failed"], one["tasks"]["failed"]) for one in (status, account)] == [(1, 3), (1, 3)]
    assert counted == 1


def test_given_a_shard_then_it_tells_which_it_is_and_that_what_it_does_not_know_another_may(
    simulator: Simulator, clock: DrivenClock
) -> None:
    # By b2sum, as in tests/unit/test_sharding.py: the first token and the account belong to shard 0 of two.
    there, here = (simulator.qencode.add("encoding", token=digit * 32) for digit in "40")
    accounts = (qencode_config(simulator, there, here), livepeer_config(simulator))
    ask_others = "shard 1 of 2 (counted from 0) shows only its own tasks; ask the others at their own URLs"

    with serving(clock, *accounts, shard=Shard(1, 2)) as api:
        assert api.tasks() == [here]
        status = api.get("/status")
        gone = error(api.task("qencode", "vod", there))
        elsewhere = error(api.task("livepeer", "studio", "upload"))

    assert (status["shard"], status["total_shards"], status["tasks"]["running"]) == (1, 2, 1)
    assert gone == f"the task is not known; it may have ended longer ago than poll.retention; {ask_others}"
    assert elsewhere == (f"there is no account of that name at livepeer; none is configured; {ask_others}")


def test_given_a_provider_that_hangs_then_the_answer_comes_and_no_account_is_called_down_for_it(
    api: Api, simulator: Simulator
) -> None:
    before = api.tasks("?sort=task")
    simulator.faults.set("livepeer", Fault(FaultKind.HANG))
    simulator.clock.advance(5)

    assert api.tasks("?sort=task") == before
    assert [account["up"] for account in api.get("/accounts")["accounts"]] == [True, True]
    assert total(api.exporter, "transcoding_polls_total", outcome="deadline") == 0
    assert total(api.exporter, "transcoding_up") == 2


# --- What can't be answered ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/tasks?limit=0", 400, "limit can't be '0': write a whole number from 1 to 1000"),
        ("/tasks?limt=1", 400, "unknown parameter 'limt': did you mean limit?"),
        ("/tasks?order=asc&order=asc", 400, "order is given 2 times: write it once"),
        ("/accounts?state=failed", 400, "unknown parameter 'state': there are none here"),
        ("/status?x", 400, "unknown parameter 'x': there are none here"),
        ("/openapi.json?x=", 400, "unknown parameter 'x': there are none here"),
        ("/tasks/livepeer/studio/upload?x=1", 400, "unknown parameter 'x': there are none here"),
        ("/tasks/aws/studio/upload", 404, "there is no such provider; write qencode or livepeer"),
        ("/tasks/livepeer/vod/upload", 404, "there is no account of that name at livepeer; write studio"),
        (
            "/tasks/livepeer/studio/x",
            404,
            "the task is not known; it may have ended longer ago than poll.retention",
        ),
        (
            "/tasks/livepeer/studio/%ff",
            404,
            "the path is not UTF-8; write other characters like %C3%A9",
        ),
        ("/task", 404, "there is nothing here; /api/v1/openapi.json tells what there is"),
    ],
)
def test_what_cannot_be_answered_is_told_with_its_remedy(
    api: Api, path: str, status: int, words: str
) -> None:
    answer = api.call(path)

    assert (answer.status_code, error(answer)) == (status, words)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
@pytest.mark.parametrize("path", ["/tasks", "/tasks/livepeer/studio/upload", "/accounts", "/status"])
def test_nothing_can_be_changed(api: Api, path: str, method: str) -> None:
    answer = api.call(path, method)

    assert (answer.status_code, error(answer)) == (405, "this method is not allowed here; use GET or HEAD")
    assert {allowed.strip() for allowed in answer.headers["Allow"].split(",")} == {"GET", "HEAD"}


@pytest.mark.parametrize("path", ["/tasks", "/accounts", "/status", "/openapi.json"])
def test_when_only_the_head_is_asked_for_then_there_is_no_body(api: Api, path: str) -> None:
    answer = api.call(path, "HEAD")

    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["Content-Type"] == "application/json"


# --- What providers write --------------------------------------------------------------------------


def test_given_markup_in_every_field_then_it_is_text_in_json_that_no_browser_takes_for_a_page(
    simulator: Simulator, clock: DrivenClock
) -> None:
    livepeer = simulator.livepeer.account
    livepeer.add(MARKUP, id=MARKUP, inputAssetId=MARKUP, outputAssetId=MARKUP, projectId=MARKUP)
    livepeer.set_status(MARKUP, phase=MARKUP, errorMessage=MARKUP)
    job = simulator.qencode.add("encoding", labels={"customer": MARKUP})
    simulator.qencode.fail(job, MARKUP)
    accounts = (
        livepeer_config(simulator, name=MARKUP),
        qencode_config(simulator, name=MARKUP, task_tokens_http=simulator.tokens_url),
    )
    with serving(clock, *accounts) as api:
        page = api.call("/tasks")
        alone = api.task("livepeer", MARKUP, MARKUP)
        answers = [page, alone, api.call("/accounts"), api.call(f"/tasks?search={quote(MARKUP)}")]
        answers += [api.call(f"/tasks?sort={quote(MARKUP)}"), api.task(MARKUP, MARKUP, MARKUP)]
        answers += [api.call(f"/{quote(MARKUP)}"), api.call("/tasks", "POST")]

    for answer in answers:
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert answer.headers["Cache-Control"] == "no-store"
    task = msgspec.convert(alone.json(), TaskRecord)
    assert (task.account, task.task, task.phase, task.message) == (MARKUP, MARKUP, MARKUP, MARKUP)
    assert (task.project, task.input_asset, task.output_asset) == (MARKUP, MARKUP, MARKUP)
    assert task.task_type == "other"
    records = {record.task: record for record in msgspec.convert(page.json(), TaskPage).tasks}
    assert records[MARKUP] == task
    assert (records[job].labels, records[job].message) == ({"customer": MARKUP}, MARKUP)


# --- Where it is -----------------------------------------------------------------------------------


def test_given_a_prefix_then_it_is_under_it_and_its_description_says_so(
    simulator: Simulator, clock: DrivenClock
) -> None:
    simulator.livepeer.account.add("upload", id="a/b")
    location = locate("https://example.com/video")
    with serving(clock, livepeer_config(simulator), location=location) as api:
        assert api.get("/openapi.json")["servers"] == [{"url": "/video"}]
        assert api.task("livepeer", "studio", "a/b").json()["task"] == "a/b"
        assert error(api.call("/x")).startswith("there is nothing here; /video/api/v1/openapi.json ")
