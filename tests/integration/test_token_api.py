"""Tokens that are given over HTTP: watched with the others, remembered, and shown as they may be shown."""

import hashlib
import json
import re
import socket
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from exporter.server.http_server import create_server
from exporter.server.listen import TcpAddress
from exporter.simulator import Fault, FaultKind, Simulator
from exporter.web.app import Site, create_app
from tests.idle import Idle
from tests.processes import wait_until
from tests.served import Served, execute, livepeer, qencode, serving, write
from tests.status_server import StatusServer, statuses

ON = "--web.enable-admin-api"
CONFIGURED, GIVEN = "0" * 32, "1" * 32
"""Tokens as Qencode's: of 32 hexadecimal digits."""


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator() as simulator:
        simulator.qencode.add("queued", token=CONFIGURED)
        yield simulator


@pytest.fixture
def config(tmp_path: Path, simulator: Simulator) -> Path:
    """A Qencode account `vod` with one token of its own, and a Livepeer account."""
    return write(tmp_path / "config.yml", qencode(simulator, CONFIGURED), livepeer(simulator))


class Api:
    """The API as a client sees it; tokens are sent as they are."""

    def __init__(self, exporter: Served, account: str = "vod") -> None:
        self.base = f"{exporter.site}/api/v1/qencode/{account}/tokens"

    def call(self, method: str, path: str = "", **options: Any) -> requests.Response:
        return requests.request(method, f"{self.base}{path}", timeout=10, **options)

    def put(self, token: str, **labels: str) -> requests.Response:
        return self.call("PUT", f"/{token}", json={"labels": labels})

    def delete(self, token: str) -> requests.Response:
        return self.call("DELETE", f"/{token}")

    def get(self, token: str) -> requests.Response:
        return self.call("GET", f"/{token}")

    def list(self) -> list[Mapping[str, Any]]:
        answer = self.call("GET")
        assert answer.status_code == 200
        tokens: list[Mapping[str, Any]] = answer.json()["tokens"]
        return tokens


def error(answer: requests.Response) -> str:
    """The words of an answer that is nothing but an error in JSON."""
    assert answer.headers["Content-Type"] == "application/json"
    assert list(answer.json()) == ["error"]
    return str(answer.json()["error"])


def tasks(exporter: Served) -> set[str]:
    return set(exporter.scrape().by("task", "transcoding_task_phase", account="vod"))


def info(exporter: Served, task: str) -> dict[str, str]:
    """The custom labels of a task, and what is known without them left out."""
    found = [dict(labels) for labels in exporter.scrape().samples["transcoding_task_info"]]
    (labels,) = [labels for labels in found if labels["task"] == task]
    known = ("provider", "account", "task", "task_type", "project", "input_asset", "output_asset")
    return {name: value for name, value in labels.items() if name not in known and value}


# --- Who may use it ------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
@pytest.mark.parametrize("account", ["vod", "nobody"])
def test_given_no_flag_when_it_is_used_then_it_refuses_and_says_how_to_allow_it(
    config: Path, method: str, account: str
) -> None:
    with serving(config) as exporter:
        answer = Api(exporter, account).call(method, "/t1", data=b"{}")

        assert answer.status_code == 403
        assert "--web.enable-admin-api" in error(answer)
        assert tasks(exporter) == {CONFIGURED}


def test_given_no_flag_when_the_list_is_asked_for_then_it_refuses(config: Path) -> None:
    with serving(config) as exporter:
        assert Api(exporter).call("GET").status_code == 403


# --- Giving ------------------------------------------------------------------------------------------


def test_when_a_token_is_given_then_the_next_poll_watches_it_with_its_labels(
    config: Path, simulator: Simulator
) -> None:
    token = simulator.qencode.add("encoding")
    with serving(config, ON) as exporter:
        api = Api(exporter)
        assert tasks(exporter) == {CONFIGURED}
        answer = api.put(token, customer="acme", tier="gold")

        assert answer.status_code == 201
        assert tasks(exporter) == {CONFIGURED, token}
        assert info(exporter, token) == {"customer": "acme", "tier": "gold"}
        assert info(exporter, CONFIGURED) == {}


def test_given_an_account_that_leaves_its_tokens_to_the_api_when_one_is_given_then_it_is_watched(
    tmp_path: Path, simulator: Simulator
) -> None:
    token = simulator.qencode.add("encoding")
    with serving(write(tmp_path / "config.yml", qencode(simulator)), ON) as exporter:
        assert tasks(exporter) == set()
        Api(exporter).put(token)

        assert tasks(exporter) == {token}
        answer = exporter.scrape()
        assert answer.by("source", "transcoding_token_source_up", account="vod") == {"api": 1}
        assert answer.by("account", "transcoding_up") == {"vod": 1}


def test_when_a_token_is_given_then_it_is_in_the_answer_in_the_list_and_by_itself(config: Path) -> None:
    with serving(config, ON) as exporter:
        api = Api(exporter)
        assert api.list() == [], "a token of the configuration was not given here"
        given = api.put("t1", customer="acme").json()
        api.put("t2")

        assert {key: given[key] for key in ("task", "labels")} == {
            "task": "t1",
            "labels": {"customer": "acme"},
        }
        assert api.get("t1").json() == given
        assert [one["task"] for one in api.list()] == ["t1", "t2"]
        assert api.list()[0] == given
        started = exporter.scrape().value("process_start_time_seconds") or 0
        assert started - 1 < given["added"] < started + 600


def test_given_no_body_when_a_token_is_given_then_it_has_no_labels(config: Path) -> None:
    with serving(config, ON) as exporter:
        api = Api(exporter)

        assert api.call("PUT", "/t1").status_code == 201
        assert api.get("t1").json()["labels"] == {}


def test_given_a_body_in_chunks_when_a_token_is_given_then_its_labels_count(config: Path) -> None:
    with serving(config, ON) as exporter:
        api = Api(exporter)
        body = iter([b'{"labels": {"cust', b'omer": "acme"}}'])

        assert api.call("PUT", "/t1", data=body).status_code == 201
        assert api.get("t1").json()["labels"] == {"customer": "acme"}


def test_when_a_token_is_given_twice_then_the_new_labels_take_effect(
    config: Path, simulator: Simulator
) -> None:
    token = simulator.qencode.add("encoding")
    with serving(config, ON) as exporter:
        api = Api(exporter)
        first = api.put(token, customer="acme", tier="gold")
        assert info(exporter, token) == {"customer": "acme", "tier": "gold"}
        again = api.put(token, customer="umbrella")

        assert (first.status_code, again.status_code) == (201, 200)
        assert again.json()["added"] == first.json()["added"]
        assert info(exporter, token) == {"customer": "umbrella"}
        assert exporter.scrape().total("transcoding_task_phase_entries_total", account="vod") == 2


def test_given_a_token_of_the_configuration_when_it_is_given_too_then_it_is_one_task_with_labels(
    config: Path,
) -> None:
    with serving(config, ON) as exporter:
        exporter.scrape()
        assert Api(exporter).put(CONFIGURED, customer="acme").status_code == 201

        assert info(exporter, CONFIGURED) == {"customer": "acme"}
        answer = exporter.scrape()
        assert answer.total("transcoding_tasks", account="vod") == 1
        assert answer.total("transcoding_task_phase_entries_total", account="vod") == 1

        assert Api(exporter).delete(CONFIGURED).status_code == 204
        assert tasks(exporter) == {CONFIGURED}, "the configuration still names it"


@pytest.mark.parametrize("token", ["a/b", "a%b", "a%2Fb", "..", "a?b#c", "a+b&c=d", "~a:b@c"])
def test_given_a_token_with_strange_characters_when_sent_percent_encoded_then_it_is_that_token(
    tmp_path: Path, simulator: Simulator, token: str
) -> None:
    """What Qencode is asked about is the token itself."""
    with StatusServer(lambda asked: statuses(**{one: {"status": "encoding"} for one in asked})) as provider:
        config = write(tmp_path / "config.yml", qencode(simulator, CONFIGURED, base_url=provider.url))
        with serving(config, ON) as exporter:
            api = Api(exporter)
            # Sent as it is: a client would take dots for folders.
            prepared = requests.Request("PUT", api.base, json={}).prepare()
            prepared.url = f"{api.base}/{quote(token, safe='')}"
            with requests.Session() as session:
                assert session.send(prepared, timeout=10).status_code == 201
            assert [one["task"] for one in api.list()] == [token]
            tasks(exporter)

        assert {one for call in provider.calls for one in call} == {CONFIGURED, token}


def test_given_an_account_with_a_strange_name_when_sent_percent_encoded_then_it_is_that_account(
    tmp_path: Path, simulator: Simulator
) -> None:
    config = write(tmp_path / "config.yml", qencode(simulator, CONFIGURED, name="vod / süd 100%"))
    with serving(config, ON) as exporter:
        api = Api(exporter, quote("vod / süd 100%", safe=""))

        assert api.put("t1").status_code == 201
        assert [one["task"] for one in api.list()] == ["t1"]


# --- Taking back -------------------------------------------------------------------------------------


def test_when_a_token_is_taken_back_then_its_task_is_asked_about_no_more_and_gone_after_the_retention(
    tmp_path: Path, simulator: Simulator
) -> None:
    token = simulator.qencode.add("encoding")
    config = write(
        tmp_path / "config.yml",
        qencode(simulator, CONFIGURED),
        poll={"min_poll_interval": "0s", "retention": "1s"},
    )
    with serving(config, ON) as exporter:
        api = Api(exporter)
        api.put(token)
        assert tasks(exporter) == {CONFIGURED, token}
        answer = api.delete(token)
        simulator.requests.clear()

        assert (answer.status_code, answer.content) == (204, b"")
        assert api.list() == []
        assert api.get(token).status_code == 404
        assert tasks(exporter) == {CONFIGURED, token}, "it stays as last known for a while"
        wait_until(lambda: tasks(exporter) == {CONFIGURED}, 10, "its series is gone")
        assert token not in {one for request in simulator.requests for one in request.form.values()}
        entered = exporter.scrape().total("transcoding_task_phase_entries_total", account="vod")
        assert entered == 2, "what was counted stays counted"


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("token", ["t1", CONFIGURED])
def test_given_a_token_that_was_not_given_when_asked_for_then_it_is_not_found(
    config: Path, method: str, token: str
) -> None:
    with serving(config, ON) as exporter:
        answer = Api(exporter).call(method, f"/{token}")

        assert answer.status_code == 404
        assert "no such token" in error(answer)


# --- Remembering -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("storage", "remembered"), [("ledger.db", [GIVEN]), ("", [])])
def test_when_restarted_then_tokens_are_remembered_if_there_is_a_ledger(
    config: Path, simulator: Simulator, storage: str, remembered: list[str]
) -> None:
    simulator.qencode.add("encoding", token=GIVEN)
    flags = (ON, f"--storage.path={config.with_name(storage) if storage else ''}")
    with serving(config, *flags) as exporter:
        api = Api(exporter)
        before = api.put(GIVEN, customer="acme").json()
        api.put("taken")
        api.delete("taken")
        assert exporter.stop() == 0
    with serving(config, *flags) as exporter:
        listed = Api(exporter).list()

        assert listed == ([before] if remembered else [])
        assert tasks(exporter) == {CONFIGURED, *remembered}
        if remembered:
            assert info(exporter, GIVEN) == {"customer": "acme"}


def test_given_a_ledger_that_fails_when_a_token_is_given_then_it_is_refused_and_not_watched(
    config: Path, tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger.db"
    with serving(config, ON, f"--storage.path={ledger}") as exporter:
        api = Api(exporter)
        execute(ledger, "ALTER TABLE tokens RENAME TO hidden")
        answer = api.put("t1")

        assert answer.status_code == 503
        assert "can't be remembered" in error(answer)
        assert api.list() == []
        execute(ledger, "ALTER TABLE hidden RENAME TO tokens")
        # For a moment it is refused without another attempt.
        wait_until(lambda: api.put("t1").status_code == 201, 10, "the token to be remembered")


# --- Mistakes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("account", ["nobody", "studio", "VOD"])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_given_an_account_that_is_none_of_qencode_then_it_is_not_found(
    config: Path, account: str, method: str
) -> None:
    with serving(config, ON) as exporter:
        api = Api(exporter, account)
        for answer in (api.call(method, "/t1"), api.call("GET")):
            assert answer.status_code == 404
            assert repr(account) in error(answer)


@pytest.mark.parametrize("token", ["a%2Cb", "a%20b", "%C3%A9", "%FF", "a%00", "a%0Ab", "x" * 257])
def test_given_what_can_not_be_a_token_when_given_then_it_is_refused(config: Path, token: str) -> None:
    with serving(config, ON) as exporter:
        answer = Api(exporter).put(token)

        assert answer.status_code == 400
        assert "not a token" in error(answer)
        assert Api(exporter).list() == []


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{", "truncated"),
        (b"labels", "malformed"),
        (b"\xff\xfe", "body"),
        (b'{"labels": {"a": "\xff"}}', "body"),
        (b'{"labels": {"a": "\\ud800"}}', "body"),
        (b"null", "Expected `object`"),
        (b"[]", "Expected `object`"),
        (b"[" * 60_000, "body"),
        (b'{"label": {}}', "unknown field `label`"),
        (b'{"labels": null}', "$.labels"),
        (b'{"labels": ["a"]}', "$.labels"),
        (b'{"labels": {"customer": 7}}', "Expected `str`, got `int`"),
        (b'{"labels": {"customer": null}}', "Expected `str`, got `null`"),
        (b'{"labels": {"customer-id": "7"}}', "'customer-id' is not the name of a label"),
        (b'{"labels": {"0": "7"}}', "'0' is not the name of a label"),
        (b'{"labels": {"": "7"}}', "'' is not the name of a label"),
        (b'{"labels": {"__meta": "7"}}', "'__meta' is not the name of a label"),
        (json.dumps({"labels": {"a": "x" * 257}}).encode(), "longer than 256"),
        (json.dumps({"labels": {f"l{n}": "" for n in range(17)}}).encode(), "17 labels"),
    ],
    ids=lambda value: repr(value[:40]),
)
def test_given_a_body_with_a_mistake_when_a_token_is_given_then_it_is_refused_in_words(
    config: Path, body: bytes, words: str
) -> None:
    with serving(config, ON) as exporter:
        api = Api(exporter)
        answer = api.call("PUT", "/t1", data=body)

        assert answer.status_code == 400
        assert words in error(answer)
        assert api.list() == []


@pytest.mark.parametrize("chunked", [False, True])
def test_given_a_body_that_is_too_large_when_a_token_is_given_then_it_is_refused(
    config: Path, chunked: bool
) -> None:
    body = json.dumps({"labels": {"a": "x" * 70_000}}).encode()
    with serving(config, ON) as exporter:
        api = Api(exporter)
        answer = api.call("PUT", "/t1", data=iter([body]) if chunked else body)

        assert answer.status_code == 413
        assert error(answer)
        assert api.list() == []


@pytest.mark.parametrize(
    ("head", "sent"),
    [
        ("PUT /api/v1/qencode/vod/tokens/t1 HTTP/1.1\r\nContent-Length: 9999999999\r\n", 3),
        ("PUT /api/v1/qencode/vod/tokens/t1 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n", 65_537),
        ("GET /metrics HTTP/1.1\r\nTransfer-Encoding: chunked\r\n", 65_537),
    ],
    ids=["length", "chunks", "elsewhere"],
)
def test_given_a_body_without_an_end_then_it_is_refused_before_it_comes(
    config: Path, head: str, sent: int
) -> None:
    with serving(config, ON) as exporter:
        answer = talk(exporter, f"{head}Host: x\r\n\r\nffffffff\r\n{'a' * sent}")

        assert answer.startswith(b"HTTP/1.1 413 ")
        assert exporter.scrape().status == 200


def test_given_a_request_within_the_body_of_another_then_it_is_no_request(config: Path) -> None:
    """Or who may send a body through a proxy could do what the proxy forbids."""
    hidden = "DELETE /api/v1/qencode/vod/tokens/t1 HTTP/1.1\r\nHost: x\r\n\r\n"
    with serving(config, ON) as exporter:
        api = Api(exporter)
        api.put("t1")
        chunks = f"{len(hidden):x}\r\n{hidden}\r\n0\r\n\r\n"
        first = f"GET /-/healthy HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"
        last = "GET /-/ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        answer = talk(exporter, first + last)

        assert re.findall(rb"HTTP/1.1 (\d+)", answer) == [b"200", b"200"]
        assert answer.endswith(b"Ready.\n")
        assert [one["task"] for one in api.list()] == ["t1"]


def talk(exporter: Served, request: str) -> bytes:
    """Send something, and return all that comes back until the connection is closed."""
    host, port = exporter.site.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=15) as connection:
        connection.sendall(request.encode())
        answer = b""
        while more := connection.recv(65536):
            answer += more
        return answer


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("POST", "", 405), ("PUT", "", 405), ("PATCH", "/t1", 405), ("GET", "/", 404), ("GET", "/a/b", 404)],
)
def test_given_a_call_that_there_is_not_then_the_error_is_json_too(
    config: Path, method: str, path: str, status: int
) -> None:
    with serving(config, ON) as exporter:
        answer = Api(exporter).call(method, path)

        assert answer.status_code == status
        assert error(answer)
        assert ("GET" in answer.headers.get("Allow", "")) is (status == 405)


# --- Who gets to see a token -------------------------------------------------------------------------


def test_given_task_label_hash_when_tokens_are_given_then_nothing_shows_one(
    tmp_path: Path, simulator: Simulator
) -> None:
    token = simulator.qencode.add("encoding")
    unknown = "feedfacefeedfacefeedfacefeedface"
    config = write(tmp_path / "config.yml", qencode(simulator, CONFIGURED), metrics={"task_label": "hash"})
    with serving(config, ON, "--log.level=debug") as exporter:
        api = Api(exporter)
        shown = hashlib.sha256(token.encode()).hexdigest()[:12]
        seen = [
            api.put(token, customer="acme").text,
            api.put(unknown).text,
            api.call("PUT", f"/{token}", data=b"{").text,
            api.call("POST", f"/{token}").text,
            api.get(token).text,
            api.call("GET").text,
            requests.get(exporter.url, timeout=10).text,
            requests.get(exporter.site, timeout=10).text,
            api.delete(token).text,
            api.delete(token).text,
            api.get(token).text,
        ]
        assert exporter.stop() == 0
        seen += [exporter.process.stdout, exporter.process.stderr]

    assert json.loads(seen[0])["task"] == shown
    assert f'task="{shown}"' in seen[6]
    assert [text for text in seen if token in text or unknown in text] == []


def test_given_a_bug_when_a_token_is_given_then_neither_the_answer_nor_the_log_shows_the_token(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with capture_logs() as logs, site_with_a_bug() as site:
        answer = requests.put(f"{site}/api/v1/qencode/vod/tokens/0123456789abcdef", timeout=10)

    assert answer.status_code == 500
    assert "bug" in error(answer)
    assert ["bug" in line["event"] for line in logs] == [True]
    out, err = capfd.readouterr()
    assert "0123456789abcdef" not in answer.text + repr(logs) + out + err


class BrokenDesk:
    """Tokens that can't even be looked at."""

    def give(self, account: str, token: str, labels: Mapping[str, str]) -> Any:
        raise KeyError("a bug")

    take = show = list = give


@contextmanager
def site_with_a_bug() -> Iterator[str]:
    site = Site(CollectorRegistry(), lambda _: None, Idle(), tokens=BrokenDesk())  # type: ignore[arg-type]
    server = create_server(create_app(site), TcpAddress("127.0.0.1", 0))
    server.start()
    try:
        yield server.urls[0]
    finally:
        assert server.leave(10)


# --- Other sources -----------------------------------------------------------------------------------


def test_given_a_source_that_fails_when_a_token_is_given_then_it_is_watched_all_the_same(
    tmp_path: Path, simulator: Simulator
) -> None:
    """Nobody has put the file in place yet, and the discovery is down."""
    token = simulator.qencode.add("encoding")
    simulator.faults.set("discovery", Fault(FaultKind.SERVER_ERROR, status=500))
    account = qencode(
        simulator, CONFIGURED, task_tokens_file="tokens.json", task_tokens_http=simulator.tokens_url
    )
    with serving(write(tmp_path / "config.yml", account), ON) as exporter:
        Api(exporter).put(token)

        assert tasks(exporter) == {CONFIGURED, token}
        answer = exporter.scrape()
        assert answer.by("source", "transcoding_token_source_up", account="vod") == {
            "task_tokens": 1,
            "task_tokens_file": 0,
            "task_tokens_http": 0,
            "api": 1,
        }
        (tmp_path / "tokens.json").write_text("[]")
        up = exporter.scrape().by("source", "transcoding_token_source_up", account="vod")
        assert up["task_tokens_file"] == 1


def test_given_a_token_in_every_source_then_it_is_one_task_and_the_api_has_the_last_word(
    tmp_path: Path, simulator: Simulator
) -> None:
    simulator.qencode.add("encoding", token=GIVEN, labels={"customer": "http", "http": "yes"})
    groups = [{"targets": [GIVEN], "labels": {"customer": "file", "file": "yes"}}]
    (tmp_path / "tokens.json").write_text(json.dumps(groups))
    # The discovery answers last: the order in which they answer must not matter.
    simulator.faults.set("discovery", Fault(FaultKind.SERVER_ERROR, status=500, times=1))
    account = qencode(simulator, GIVEN, task_tokens_file="tokens.json", task_tokens_http=simulator.tokens_url)
    with serving(write(tmp_path / "config.yml", account), ON) as exporter:
        Api(exporter).put(GIVEN, customer="api")
        expected = {"customer": "api", "file": "yes", "http": "yes"}
        wait_until(lambda: info(exporter, GIVEN) == expected or None, 20, "all sources have answered")

        # The discovery names the other token, too.
        assert tasks(exporter) == {GIVEN, CONFIGURED}
        assert exporter.scrape().total("transcoding_tasks", account="vod") == 2
        assert exporter.scrape().total("transcoding_task_phase_entries_total", account="vod") == 2


def test_given_many_that_give_and_take_at_once_then_all_are_served(config: Path) -> None:
    with serving(config, ON) as exporter, ThreadPoolExecutor(8) as threads:
        api = Api(exporter)

        def one(number: int) -> set[int]:
            answers = [api.put(f"t{number}"), api.put(f"t{number}", a="b")]
            exporter.scrape()
            if number % 2:
                answers.append(api.delete(f"t{number}"))
            return {answer.status_code for answer in answers}

        codes = set().union(*threads.map(one, range(24)))

        assert codes == {201, 200, 204}
        assert {one["task"] for one in api.list()} == {f"t{number}" for number in range(0, 24, 2)}
        assert not re.search("Traceback", exporter.process.stderr)
