"""What the commands make of the exporter that they ask."""

import gzip
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from exporter.report.board import Wish
from exporter.report.records import TaskPage
from exporter.terminal.api import Access, Limits
from exporter.terminal.http_source import HttpSource
from exporter.terminal.source import SourceError
from tests.commands import call
from tests.pki import HASH, PASSWORD, Authority
from tests.processes import ANY_PORT, EXPORTER, run, running
from tests.records import NASTY_ACCOUNT, NASTY_TASK, SHOWN, a_task
from tests.screens import on_terminal
from tests.strange import Strange
from tests.watched import QUICK, World, rows
from tests.wire import CLOSE, RESET, Asked, Step, Wire, http


@pytest.fixture
def strange() -> Iterator[Strange]:
    with Strange() as server:
        yield server


@pytest.mark.parametrize("command", [("tasks",), ("wait", "4bd1", "--appear", "200ms")])
def test_given_no_exporter_when_asked_then_the_status_is_1_and_it_is_told(command: tuple[str, ...]) -> None:
    result = call(*command, "--url", "http://127.0.0.1:1")

    assert (result.status, result.stdout) == (1, "")
    assert "can't ask http://127.0.0.1:1: Connection refused" in result.stderr
    assert "Traceback" not in result.stderr


def test_given_no_exporter_when_asked_as_by_nagios_then_the_state_is_unknown() -> None:
    result = call("tasks", "--url", "http://127.0.0.1:1", "--format", "summary")

    line = "TRANSCODING UNKNOWN: can't ask http://127.0.0.1:1: Connection refused\n"
    assert result == (3, line, "")


@pytest.mark.parametrize("command", ["tasks", "wait"])
def test_given_an_account_that_is_not_there_when_asked_then_it_is_told_at_once(
    still: World, command: str
) -> None:
    arguments = ("--account", "nope") if command == "tasks" else ("qencode/nope/4bd1",)

    result = call(command, *still.asked, *arguments)

    assert result.status == 1
    assert "nope; there are: " in result.stderr


# --- An exporter that lets not everybody in --------------------------------------------------------------


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Authority]]:
    """An exporter that wants a certificate and a password, under a prefix: its URL, and its authority."""
    folder = tmp_path_factory.mktemp("guarded")
    authority = Authority(folder)
    authority.issue("client", "somebody")
    certificate, key = authority.issue("server", "127.0.0.1", "localhost")
    web = folder / "web.yml"
    web.write_text(
        f"tls_server_config:\n  cert_file: {certificate}\n  key_file: {key}\n"
        f"  client_ca_file: {authority.bundle}\n"
        f"  client_auth_type: RequireAndVerifyClientCert\nbasic_auth_users:\n  jürgen: {HASH}\n"
    )
    command = [*EXPORTER, "demo", f"--web.config.file={web}", "--web.route-prefix=/video", ANY_PORT]
    with running(command) as process:
        yield process.find(r"(https://[^/\s]+/video)"), authority


def test_given_what_it_takes_when_a_guarded_exporter_is_asked_then_it_answers(
    guarded: tuple[str, Authority], tmp_path: Path
) -> None:
    url, authority = guarded
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    files = {
        "TRANSCODING_EXPORTER_CA_FILE": str(authority.bundle),
        "TRANSCODING_EXPORTER_CERT_FILE": str(authority.folder / "client.crt"),
        "TRANSCODING_EXPORTER_KEY_FILE": str(authority.folder / "client.key"),
    }

    by_file = call(
        "tasks", "--url", url, "--user", "jürgen", "--password-file", str(tmp_path / "password"), **files
    )
    by_variable = call(
        "tasks",
        "--user",
        "jürgen",
        TRANSCODING_EXPORTER_URL=url,
        TRANSCODING_EXPORTER_PASSWORD=PASSWORD,
        **files,
    )

    assert (by_file.stderr, by_variable.stderr) == ("", "")
    assert len(rows(by_file.stdout)) > 100
    assert len(rows(by_variable.stdout)) > 100


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ("ca", "certificate verify failed"),
        ("cert", "it may want a certificate: --cert-file"),
        ("password", "HTTP 401: it wants a user and a password: --user and --password-file"),
    ],
)
def test_given_something_is_missing_when_a_guarded_exporter_is_asked_then_it_is_told(
    guarded: tuple[str, Authority], missing: str, words: str
) -> None:
    url, authority = guarded
    options = {
        "ca": ("--ca-file", str(authority.bundle)),
        "cert": (
            "--cert-file",
            str(authority.folder / "client.crt"),
            "--key-file",
            str(authority.folder / "client.key"),
        ),
        "password": ("--user", "jürgen"),
    }
    arguments = [part for name, option in options.items() if name != missing for part in option]

    result = call("tasks", "--url", url, *arguments, TRANSCODING_EXPORTER_PASSWORD=PASSWORD)

    assert result.status == 1
    assert words in result.stderr.lower() or words in result.stderr


def test_given_a_certificate_that_is_not_trusted_when_waited_for_then_it_is_not_asked_again(
    guarded: tuple[str, Authority],
) -> None:
    url, _ = guarded

    result = call("wait", "4bd1", "--url", url, "--appear", "1h")

    assert (result.status, result.stdout) == (1, "")
    assert "certificate verify failed" in result.stderr


# --- An exporter that answers strangely ------------------------------------------------------------------


def test_given_more_tasks_than_an_answer_holds_when_asked_then_all_are_shown(strange: Strange) -> None:
    strange.tasks = [a_task(task=f"task-{number:04}") for number in range(2500)]

    result = call("tasks", "--url", f"{strange.url}/")

    assert [row["TASK"] for row in rows(result.stdout)] == [f"task-{number:04}" for number in range(2500)]
    pages = [asked.query for asked in strange.asked if asked.path.endswith("/tasks")]
    assert [page["offset"] for page in pages] == ["0", "1000", "2000"]


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (404, b"<h1>Not found</h1>", "HTTP 404: there is no API of an exporter"),
        (400, b'{"error": "no \\u001b[2J"}', r"HTTP 400: no \x1b[2J"),
        (503, b"", "HTTP 503"),
        (302, b"", "HTTP 302: it sends us to http://elsewhere/"),
        (200, b"<html>", "its answer can't be understood"),
        (200, b'{"accounts": 1, "now": "\xff"}', "its answer can't be understood"),
    ],
)
def test_given_an_answer_that_is_none_when_asked_then_it_is_told(
    strange: Strange, status: int, body: bytes, words: str
) -> None:
    strange.refusal = http(status, body, *(["Location: http://elsewhere/"] if status == 302 else []))

    result = call("tasks", "--url", strange.url)

    assert (result.status, result.stdout) == (1, "")
    assert f"Error: can't ask {strange.url}: {words}" in result.stderr


@pytest.mark.parametrize("command", [("tasks", "--watch"), ("wait", "4bd1")])
def test_given_a_refusal_that_lasts_when_watched_then_it_is_not_asked_again(
    strange: Strange, command: tuple[str, ...]
) -> None:
    strange.refusal = http(401, b"who?")

    result = call(*command, "--url", strange.url, *QUICK)

    assert (result.status, result.stdout) == (1, "")
    assert result.stderr.endswith("HTTP 401: it wants a user and a password: --user and --password-file\n")
    assert len(strange.asked) == 1


def test_given_passwords_for_other_programs_when_asked_then_they_are_not_sent(
    strange: Strange, tmp_path: Path
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password secret\n")

    call("tasks", "--url", strange.url, HOME=str(tmp_path))

    assert strange.asked
    assert not any("authorization" in asked.headers for asked in strange.asked)


def test_given_nasty_words_everywhere_when_shown_on_a_terminal_then_it_obeys_none_of_them(
    strange: Strange,
) -> None:
    strange.tasks, strange.account = [NASTY_TASK], NASTY_ACCOUNT

    with on_terminal("tasks", "--url", strange.url, *QUICK, columns=400, lines=9) as terminal:
        screen = terminal.see(lambda text: f"unknown: {SHOWN}" in text, "the table")
        assert f"qencode/{SHOWN} is down" in screen
        assert b"\x1b[2J" not in terminal.written.replace(b"\x1b[?1049h\x1b[2J", b"")
        assert "\u202e".encode() not in terminal.written
    with on_terminal("wait", "--url", strange.url, "4bd1", columns=400, lines=5) as terminal:
        assert terminal.end() == 2
        assert f"unknown: {SHOWN}" in terminal.text
        assert terminal.lines[0].startswith("✗ [red]")


# --- An exporter that takes its time ---------------------------------------------------------------------


def asking(url: str, limits: Limits) -> SourceError:
    """What a look at all tasks ends with."""
    with closing(HttpSource(Access(url), limits)) as source, pytest.raises(SourceError) as raised:
        source.look(Wish(), None)
    return raised.value


def dripping(*steps: Step) -> Callable[[Asked], Iterator[Step]]:
    """Answers with the steps, and then with a blank now and then, for longer than anybody should wait."""

    def answer(_: Asked) -> Iterator[Step]:
        yield from steps
        for _blank in range(500):
            yield 0.02
            yield b" "
        yield CLOSE

    return answer


@pytest.mark.parametrize(
    "steps",
    [
        (),
        (b"HTTP/1.1 200 OK\r\nServer:",),
        (b"HTTP/1.1 200 OK\r\n\r\n{",),
        (b"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n",),
    ],
    ids=["status", "headers", "body", "redirect"],
)
def test_given_an_answer_that_drips_when_asked_then_it_is_given_up(steps: tuple[Step, ...]) -> None:
    with Wire(dripping(*steps)) as wire:
        error = asking(wire.url, Limits(answer=0.3))

        assert str(error) == f"can't ask {wire.url}: its answer is not complete after 0 s; is it overloaded?"
        assert not error.lasting


def test_given_answers_without_end_when_asked_then_the_question_is_given_up(strange: Strange) -> None:
    def page() -> bytes:
        tasks = [a_task()] if len(strange.asked) < 20_000 else []
        return http(200, msgspec.json.encode(TaskPage(tasks=tasks, total=10**9, offset=0, limit=1000)))

    told = strange.answering
    strange.answering = lambda asked: page() if asked.path.endswith("/tasks") else told(asked)

    error = asking(strange.url, Limits(question=1.0))

    assert str(error) == f"can't ask {strange.url}: it has not told all within 1 s; ask for fewer tasks"
    assert not error.lasting


@pytest.mark.parametrize(
    "answer",
    [http(200, b" " * 4_000_000), http(200, gzip.compress(b" " * 4_000_000), "Content-Encoding: gzip")],
    ids=["plain", "gzipped"],
)
def test_given_an_answer_that_is_too_large_when_asked_then_it_is_not_read(answer: bytes) -> None:
    with Wire(lambda _: answer) as wire:
        error = asking(wire.url, Limits(size=2 * 1024 * 1024))

        assert str(error) == f"can't ask {wire.url}: its answer exceeds 2 MiB; is it an exporter?"
        assert error.lasting


@pytest.mark.parametrize("end", [CLOSE, RESET])
def test_given_an_answer_that_breaks_off_when_asked_then_it_may_be_whole_another_time(end: str) -> None:
    with Wire(lambda _: [b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", 0.1, end]) as wire:
        error = asking(wire.url, Limits())

        assert str(error).startswith(f"can't ask {wire.url}: ")
        assert not error.lasting


def test_given_an_answer_that_drips_when_waited_for_no_longer_than_told_then_that_holds() -> None:
    with Wire(dripping(b"HTTP/1.1 200 OK\r\n\r\n{")) as wire:
        result = run("wait", "--url", wire.url, "4bd1", "--timeout", "500ms", "--appear", "1h")

        assert (result.returncode, result.stderr) == (4, "4bd1 has not ended within 0 s\n")
