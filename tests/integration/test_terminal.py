import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest

from exporter.report.records import AccountList, TaskPage
from exporter.simulator import Fault, FaultKind, SimulatedClock, Simulator
from tests.pki import HASH, PASSWORD, Authority
from tests.processes import ANY_PORT, EXPORTER, Process, environment, run, running, wait_until
from tests.screens import CTRL_C, on_terminal
from tests.served import livepeer, qencode, serving, write
from tests.support import START
from tests.unit.test_terminal import NASTY_ACCOUNT, NASTY_TASK, SHOWN, a_task, an_account

QUICK = ("--interval", "100ms")
STALLED_AFTER = 601

ESCAPE = "\x1b"
SHOW_CURSOR = b"\x1b[?25h"


class World:
    """A running exporter in front of the simulator, and what it watches."""

    def __init__(self, folder: Path, simulator: Simulator) -> None:
        self.simulator = simulator
        self.token = simulator.qencode.add("encoding", percent=25.0)
        self.upload = simulator.livepeer.account.add("upload")
        simulator.livepeer.account.progress(self.upload, 0.4)
        self.config = write(folder / "config.yml", qencode(simulator, self.token), livepeer(simulator))
        self.url = ""

    @property
    def asked(self) -> tuple[str, ...]:
        """The option that names it."""
        return ("--url", self.url)


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One in which nothing changes, for all who only look."""
    with Simulator(clock=SimulatedClock(start=START, speed=0.0)) as simulator:
        world = World(tmp_path_factory.mktemp("still"), simulator)
        with serving(world.config) as served:
            world.url = served.site
            yield world


@pytest.fixture
def world(tmp_path: Path, simulator: Simulator) -> Iterator[World]:
    """One that a test may change."""
    world = World(tmp_path, simulator)
    with serving(world.config) as served:
        world.url = served.site
        yield world


# --- tasks, on a terminal --------------------------------------------------------------------------------


def test_when_watched_then_progress_moves_on_the_screen_until_ctrl_c(world: World) -> None:
    with on_terminal("tasks", *world.asked, *QUICK) as terminal:
        screen = terminal.see(lambda text: "25%" in text and "40%" in text, "both tasks")
        assert f"●  {world.upload}  livepeer/studio  upload     running" in screen
        assert f"●  {world.token}      qencode/vod      transcode  encoding" in screen
        assert terminal.lines[1] == "● 2 running"
        assert terminal.hides_cursor()
        assert not terminal.echoes()

        world.simulator.qencode.set(world.token, percent=75.0)
        terminal.see(lambda text: "75%" in text, "progress")
        world.simulator.qencode.complete(world.token)
        terminal.see(lambda text: "✓ 1 completed" in text and "100%" in text, "the end")
        world.simulator.livepeer.account.fail(world.upload, "out of disk")
        screen = terminal.see(lambda text: "unknown: out of disk" in text, "the reason")
        assert screen.index(world.upload) < screen.index(world.token)

        terminal.type(CTRL_C)
        assert terminal.end() == 130
        assert not terminal.hides_cursor()
        assert b"\x1b[?1049l" in terminal.written
        assert b"Traceback" not in terminal.written


def test_given_a_terminal_whose_size_changes_when_watched_then_the_table_follows(still: World) -> None:
    with on_terminal("tasks", *still.asked, *QUICK, columns=120, lines=30) as terminal:
        terminal.see(lambda text: "ACCOUNT" in text, "the table")

        terminal.resize(60, 20)
        terminal.see(lambda text: "ACCOUNT" not in text and "PROGRESS" in text, "a narrow table")
        assert all(len(line) <= 60 for line in terminal.lines)
        terminal.resize(20, 3)
        terminal.resize(140, 40)
        terminal.see(lambda text: "ACCOUNT" in text and still.upload in text, "a wide table")

        terminal.type(CTRL_C)
        assert terminal.end() == 130


def test_given_colours_when_watched_then_each_state_has_its_own(world: World) -> None:
    account = world.simulator.livepeer.account
    stuck = account.add("upload")
    account.progress(stuck, 0.5)
    world.simulator.clock.advance(STALLED_AFTER)
    account.progress(world.upload, 0.6)
    for outcome in (account.complete, account.fail, account.cancel):
        outcome(account.add("clip"))

    with on_terminal("tasks", *world.asked, *QUICK, COLORTERM="truecolor") as terminal:
        signs = {"!", "✗", "●", "✓", "⊘"}
        terminal.see(lambda text: signs <= {line[:1] for line in text.splitlines()[3:]}, "all tasks")
        assert terminal.lines[1] == "! 1 stalled   ✗ 1 failed   ● 3 running   ⊘ 1 cancelled   ✓ 1 completed"
        colours = {line[:1]: terminal.colours(number) for number, line in enumerate(terminal.lines)}

    assert "ff9830" in colours["!"]
    assert "f2495c" in colours["✗"]
    assert "5794f2" in colours["●"]
    assert "73bf69" in colours["✓"]
    assert "8e8e8e" in colours["⊘"]


def test_given_no_colour_is_wanted_when_watched_then_there_is_none(still: World) -> None:
    with on_terminal("tasks", *still.asked, *QUICK, NO_COLOR="1") as terminal:
        terminal.see(lambda text: "PROGRESS" in text, "the table")
        assert {colour for line in range(6) for colour in terminal.colours(line)} == {"default"}


def test_given_a_terminal_that_cannot_be_drawn_on_when_asked_then_it_is_as_in_a_pipe(still: World) -> None:
    with on_terminal("tasks", *still.asked, TERM="dumb") as terminal:
        assert terminal.end() == 0
        assert terminal.written.startswith(b"PROVIDER\tACCOUNT\t")
        assert ESCAPE.encode() not in terminal.written


def test_given_an_account_that_goes_down_when_watched_then_it_is_told_and_the_watch_goes_on(
    world: World,
) -> None:
    with on_terminal("tasks", *world.asked, *QUICK) as terminal:
        terminal.see(lambda text: "40%" in text, "the table")

        world.simulator.faults.set("livepeer", Fault(FaultKind.HTML_ERROR))
        screen = terminal.see(
            lambda text: re.search("✗ livepeer/studio is down for .*: .*HTTP 502", text), "the account"
        )
        assert world.upload in screen
        world.simulator.faults.clear()
        terminal.see(lambda text: "is down" not in text, "the account is up again")


def test_given_an_exporter_that_stops_when_watched_then_it_is_told_and_asked_again(
    tmp_path: Path, simulator: Simulator
) -> None:
    world = World(tmp_path, simulator)
    with serving(world.config) as served:
        port = urlsplit(served.url).port
        terminals = on_terminal("tasks", "--url", served.site, *QUICK)
        terminal = terminals.__enter__()
        try:
            terminal.see(lambda text: "40%" in text, "the table")
            served.stop(signal.SIGTERM)
            screen = terminal.see(lambda text: "Connection refused; trying again" in text, "the trouble")
            assert "40%" in screen
            with running(
                [
                    *EXPORTER,
                    "serve",
                    f"--config.file={world.config}",
                    f"--web.listen-address=127.0.0.1:{port}",
                ]
            ):
                terminal.see(lambda text: "trying again" not in text and "40%" in text, "it is back")
        finally:
            terminals.__exit__(None, None, None)


def test_given_one_look_on_a_terminal_then_it_is_drawn_and_stays(still: World) -> None:
    with on_terminal("tasks", *still.asked, "--once") as terminal:
        assert terminal.end() == 0
        assert "40%" in terminal.text
        assert b"\x1b[?1049h" not in terminal.written


def test_when_terminated_then_the_terminal_is_left_as_it_was(still: World) -> None:
    with on_terminal("tasks", *still.asked, *QUICK) as terminal:
        terminal.see(lambda text: "40%" in text, "the table")

        terminal.popen.send_signal(signal.SIGTERM)

        assert terminal.end() == 143
        assert terminal.written.endswith(SHOW_CURSOR) or SHOW_CURSOR in terminal.written[-40:]


# --- tasks, in a pipe ------------------------------------------------------------------------------------


def rows(stdout: str) -> list[dict[str, str]]:
    head, *lines = stdout.splitlines()
    return [dict(zip(head.split("\t"), line.split("\t"), strict=True)) for line in lines]


def test_given_a_pipe_when_asked_then_there_is_one_table_of_stable_columns(still: World) -> None:
    result = run("tasks", *still.asked, "--sort", "account", FORCE_COLOR="1")

    assert (result.returncode, result.stderr) == (0, "")
    assert ESCAPE not in result.stdout
    assert [
        (row["PROVIDER"], row["ACCOUNT"], row["TASK"], row["STATE"], row["PROGRESS"])
        for row in rows(result.stdout)
    ] == [
        ("livepeer", "studio", still.upload, "running", "40%"),
        ("qencode", "vod", still.token, "running", "25%"),
    ]


@pytest.mark.parametrize(
    ("filters", "tasks"),
    [
        (("--provider", "qencode"), {"token"}),
        (("--account", "studio"), {"upload"}),
        (("--state", "queued", "--state", "completed"), set()),
        (("--state", "queued", "--state", "running"), {"token", "upload"}),
        (("--search", "ENCOD"), {"token"}),
        (("--stalled",), set()),
        (("--sort", "progress", "--limit", "1"), {"token"}),
        (("--sort", "progress", "--reverse", "--limit", "1"), {"upload"}),
    ],
)
def test_given_filters_when_asked_then_only_what_passes_is_shown(
    still: World, filters: tuple[str, ...], tasks: set[str]
) -> None:
    result = run("tasks", *still.asked, *filters, "--format", "json")

    assert (result.returncode, result.stderr) == (0, "")
    names = {"token": still.token, "upload": still.upload}
    assert {task["task"] for task in json.loads(result.stdout)} == {names[task] for task in tasks}


def test_given_a_configuration_when_asked_then_the_services_are(still: World) -> None:
    by_flag = run("tasks", "--config.file", str(still.config), "--account", "vod", "--format", "json")
    by_variable = run(
        "tasks", "--direct", "--account", "studio", TRANSCODING_EXPORTER_CONFIG_FILE=str(still.config)
    )

    assert (by_flag.returncode, by_flag.stderr) == (0, "")
    assert [task["task"] for task in json.loads(by_flag.stdout)] == [still.token]
    assert [row["TASK"] for row in rows(by_variable.stdout)] == [still.upload]


def test_given_json_is_watched_then_each_look_is_a_line(still: World) -> None:
    with running([*EXPORTER, "tasks", *still.asked, *QUICK, "--watch", "--format", "json"]) as process:
        wait_until(lambda: process.stdout.count("\n") >= 2, 15, "two looks")
        status, _ = process.stop(signal.SIGINT)

        assert status == 130
        assert process.stderr == ""
        looks = [json.loads(line) for line in process.stdout.splitlines()]
    assert all(sorted(task["progress"] for task in look) == [0.25, 0.4] for look in looks)


def test_given_somebody_who_stops_reading_when_watched_then_it_ends_without_a_word(still: World) -> None:
    command = [*EXPORTER, "tasks", *still.asked, *QUICK, "--watch"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith(b"PROVIDER\t")
        process.stdout.close()

        assert process.wait(15) == 1
        assert process.stderr.read() == b""


def test_given_a_task_that_fails_when_asked_then_the_status_is_2(world: World) -> None:
    assert run("tasks", *world.asked).returncode == 0

    world.simulator.livepeer.account.fail(world.upload)

    assert run("tasks", *world.asked).returncode == 2
    assert run("tasks", *world.asked, "--sort", "progress", "--limit", "1").returncode == 2
    assert run("tasks", *world.asked, "--provider", "qencode").returncode == 0
    summary = run("tasks", *world.asked, "--format", "summary")
    assert summary.returncode == 2
    assert summary.stdout.startswith("TRANSCODING CRITICAL: 1 failed, 0 stalled, 1 running, 0 queued | ")


@pytest.mark.parametrize("direct", [False, True])
def test_given_a_task_that_is_stalled_when_asked_then_the_status_is_2(world: World, direct: bool) -> None:
    world.simulator.clock.advance(STALLED_AFTER)
    source = ("--config.file", str(world.config)) if direct else world.asked

    result = run("tasks", *source, "--stalled")

    assert result.returncode == 2
    assert [row["TASK"] for row in rows(result.stdout)] == [world.upload]


def test_given_an_account_that_is_down_when_asked_then_the_status_is_1_and_the_rest_is_shown(
    world: World,
) -> None:
    world.simulator.faults.set("livepeer", Fault(FaultKind.HTML_ERROR))

    result = run("tasks", *world.asked)

    assert result.returncode == 1
    assert result.stderr.startswith("livepeer/studio is down for ")
    assert "HTTP 502" in result.stderr
    assert [row["TASK"] for row in rows(result.stdout)] == [world.token]
    assert run("tasks", *world.asked, "--account", "vod").returncode == 0


@pytest.mark.parametrize("command", [("tasks",), ("wait", "4bd1", "--appear", "200ms")])
def test_given_no_exporter_when_asked_then_the_status_is_1_and_it_is_told(command: tuple[str, ...]) -> None:
    result = run(*command, "--url", "http://127.0.0.1:1")

    assert (result.returncode, result.stdout) == (1, "")
    assert "can't ask http://127.0.0.1:1: Connection refused" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("tasks", "--url", "http://me:secret@localhost"), "a password has no place in it"),
        (("tasks", "--url", "localhost:10477"), "write it like http://localhost:10477"),
        (("tasks", "--url", "http://localhost:99999"), "write it like http://localhost:10477"),
        (("tasks", "--user", "me"), "--user wants a password"),
        (("tasks", "--key-file", "/dev/null"), "name that with --cert-file"),
        (("tasks", "--url", "http://localhost", "--direct"), "leave one out"),
        (("tasks", "--direct"), "set LIVEPEER_API_KEY or QENCODE_TASK_TOKENS"),
        (("tasks", "--state", "happy"), "'happy' is not one of"),
        (("tasks", "--interval", "soon"), '"soon" is not a duration; write it like 30d or 90s'),
        (("tasks", "--limit", "0"), "is not in the range"),
        (("wait",), "Missing argument 'TASK'"),
        (("wait", "4bd1", "--timeout", "0s"), "the duration is 0"),
    ],
)
def test_given_a_mistake_when_run_then_its_status_is_not_that_of_a_failed_task(
    arguments: tuple[str, ...], words: str
) -> None:
    result = run(*arguments)

    assert (result.returncode, result.stdout) == (1, "")
    assert words in " ".join(result.stderr.split())
    assert "Traceback" not in result.stderr
    assert "secret" not in result.stderr


@pytest.mark.parametrize("command", ["tasks", "wait"])
def test_given_an_account_that_is_not_there_when_asked_then_it_is_told_at_once(
    still: World, command: str
) -> None:
    arguments = ("--account", "nope") if command == "tasks" else ("qencode/nope/4bd1",)

    result = run(command, *still.asked, *arguments)

    assert result.returncode == 1
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

    by_file = run(
        "tasks", "--url", url, "--user", "jürgen", "--password-file", str(tmp_path / "password"), **files
    )
    by_variable = run(
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

    result = run("tasks", "--url", url, *arguments, TRANSCODING_EXPORTER_PASSWORD=PASSWORD)

    assert result.returncode == 1
    assert words in result.stderr.lower() or words in result.stderr


# --- An exporter that answers strangely ------------------------------------------------------------------


class Strange(ThreadingHTTPServer):
    """Answers as a test says, and remembers what was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Strange)
        self.status, self.body, self.location = 200, b"", ""
        self.tasks = [a_task()]
        self.account = an_account()
        self.asked: list[str] = []
        self.authorizations: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def answer(self, path: str) -> bytes:
        parts = urlsplit(path)
        query = parse_qs(parts.query)
        if self.body or self.status != 200:
            return self.body
        if parts.path.endswith("/accounts"):
            return msgspec.json.encode(AccountList(accounts=[self.account]))
        if parts.path.endswith("/status"):
            return STATUS
        if "/tasks/" in parts.path:
            return msgspec.json.encode(self.tasks[0])
        offset, limit = int(query["offset"][0]), int(query["limit"][0])
        return msgspec.json.encode(
            TaskPage(
                tasks=self.tasks[offset : offset + limit], total=len(self.tasks), offset=offset, limit=limit
            )
        )


class _Strange(BaseHTTPRequestHandler):
    server: Strange

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.server.authorizations.append(self.headers.get("Authorization"))
        body = self.server.answer(self.path)
        self.send_response(self.server.status)
        if self.server.location:
            self.send_header("Location", self.server.location)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


STATUS = b"""{
    "version": "1", "started": "2026-11-21T20:00:00Z", "now": "2026-11-21T21:00:00Z",
    "accounts_up": 1, "accounts_down": 0, "stalled": 0, "failed": 0,
    "tasks": {"queued": 0, "running": 0, "completed": 0, "failed": 0, "cancelled": 0, "unknown": 0},
    "config_reload_successful": true, "ledger_degraded": false
}"""


@pytest.fixture
def strange() -> Iterator[Strange]:
    with Strange() as server:
        thread = Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_given_more_tasks_than_an_answer_holds_when_asked_then_all_are_shown(strange: Strange) -> None:
    strange.tasks = [a_task(task=f"task-{number:04}") for number in range(2500)]

    result = run("tasks", "--url", f"{strange.url}/")

    assert [row["TASK"] for row in rows(result.stdout)] == [f"task-{number:04}" for number in range(2500)]
    assert [parse_qs(urlsplit(path).query)["offset"] for path in strange.asked if "/tasks" in path] == [
        ["0"],
        ["1000"],
        ["2000"],
    ]


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
    strange.status, strange.body = status, body
    strange.location = "http://elsewhere/" if status == 302 else ""

    result = run("tasks", "--url", strange.url)

    assert (result.returncode, result.stdout) == (1, "")
    assert f"Error: can't ask {strange.url}: {words}" in result.stderr


@pytest.mark.parametrize("command", [("tasks", "--watch"), ("wait", "4bd1")])
def test_given_a_refusal_that_lasts_when_watched_then_it_is_not_asked_again(
    strange: Strange, command: tuple[str, ...]
) -> None:
    strange.status, strange.body = 401, b"who?"

    result = run(*command, "--url", strange.url, *QUICK)

    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.endswith("HTTP 401: it wants a user and a password: --user and --password-file\n")
    assert len(strange.asked) == 1


def test_given_passwords_for_other_programs_when_asked_then_they_are_not_sent(
    strange: Strange, tmp_path: Path
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password secret\n")

    run("tasks", "--url", strange.url, HOME=str(tmp_path))

    assert set(strange.authorizations) == {None}


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


# --- wait ------------------------------------------------------------------------------------------------


def test_when_a_task_is_waited_for_then_a_bar_moves_until_it_ends(world: World) -> None:
    with on_terminal("wait", *world.asked, *QUICK, world.token, columns=100, lines=6) as terminal:
        terminal.see(lambda text: "25%" in text, "the bar")
        assert terminal.lines[0].startswith(f"● {world.token}  encoding     ━━━")
        assert terminal.lines[1:] == [""] * 5
        assert terminal.hides_cursor()

        world.simulator.qencode.set(world.token, percent=80.0)
        terminal.see(lambda text: "80%" in text, "progress")
        terminal.resize(60, 6)
        terminal.see(lambda text: re.search(r"● \S{9}…\S+  encoding ", text), "a shorter line")
        world.simulator.qencode.complete(world.token)

        assert terminal.end() == 0
        assert not terminal.hides_cursor()
        assert "✓ " in terminal.text
        assert "100%" in terminal.text


def test_given_ctrl_c_when_waiting_then_it_ends_with_130_and_the_cursor_is_back(still: World) -> None:
    with on_terminal("wait", *still.asked, *QUICK, still.token) as terminal:
        terminal.see(lambda text: "25%" in text, "the bar")

        terminal.type(CTRL_C)

        assert terminal.end() == 130
        assert not terminal.hides_cursor()
        assert terminal.echoes()
        assert b"Traceback" not in terminal.written


@pytest.mark.parametrize(
    ("outcome", "status", "last", "direct"),
    [
        ("complete", 0, ["completed", "completed", "100%", "-"], False),
        ("fail", 2, ["failed", "failed", "-", "unknown: catalyst pipeline error"], False),
        ("cancel", 3, ["cancelled", "cancelled", "-", "-"], True),
    ],
)
def test_given_a_pipe_when_a_task_is_waited_for_then_each_change_is_a_line(
    world: World, outcome: str, status: int, last: list[str], direct: bool
) -> None:
    source = ("--config.file", str(world.config)) if direct else world.asked
    with running([*EXPORTER, "wait", *source, *QUICK, world.upload]) as process:
        wait_until(lambda: "40%" in process.stdout, 15, "the first line")
        world.simulator.clock.advance(1)
        world.simulator.livepeer.account.progress(world.upload, 0.8)
        wait_until(lambda: "80%" in process.stdout, 15, "the second line")
        world.simulator.clock.advance(1)
        getattr(world.simulator.livepeer.account, outcome)(world.upload)
        ended = ending(process)

        lines = [line.split("\t") for line in process.stdout.splitlines()]
        assert (ended, process.stderr) == (status, "")
    assert [line[1:] for line in lines[:2]] == [
        ["running", "running", "40%", "-"],
        ["running", "running", "80%", "-"],
    ]
    assert lines[-1][1:3] == last[:2]
    assert lines[-1][4:] == last[3:]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", line[0]) for line in lines)


def test_given_a_task_that_has_ended_when_waited_for_then_it_is_over_at_once(world: World) -> None:
    world.simulator.qencode.complete(world.token)

    result = run("wait", *world.asked, f"qencode/vod/{world.token}", "--interval", "1h")

    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.count("\n") == 1


def test_given_a_task_that_goes_on_when_waited_for_no_longer_than_told_then_the_status_is_4(
    still: World,
) -> None:
    result = run("wait", *still.asked, still.token, "--timeout", "500ms")

    assert result.returncode == 4
    assert result.stderr == f"{still.token} has not ended within 0:00\n"


def test_given_a_task_that_is_not_known_when_waited_for_then_it_may_yet_appear(world: World) -> None:
    name = "00000000-0000-4000-8000-000000000000"
    with running([*EXPORTER, "wait", *world.asked, *QUICK, name]) as process:
        process.find("(is not known)")
        world.simulator.livepeer.account.add("upload", id=name)
        wait_until(lambda: "queued" in process.stdout, 15, "it appears")
        world.simulator.livepeer.account.complete(name)
        assert ending(process) == 0

    result = run("wait", *world.asked, "nope", "--appear", "300ms")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.splitlines()[-1] == "given up after 0:00: nope is not known"


def test_given_hashed_tokens_when_waited_for_by_the_token_then_it_is_found_and_not_repeated(
    tmp_path: Path, simulator: Simulator
) -> None:
    token = simulator.qencode.add("completed", token="a-very-secret-token", percent=100.0)
    config = write(tmp_path / "config.yml", qencode(simulator, token), metrics={"task_label": "hash"})

    with serving(config) as served:
        by_url = run("wait", "--url", served.site, token)
        with on_terminal("wait", "--url", served.site, token) as terminal:
            assert terminal.end() == 0
    direct = run("wait", "--config.file", str(config), token)

    assert (by_url.returncode, direct.returncode) == (0, 0)
    assert "85a3dacdf7d6" in terminal.text
    assert token not in by_url.stdout + by_url.stderr + direct.stdout + direct.stderr


def test_given_tasks_of_one_name_when_waited_for_then_they_are_listed(
    tmp_path: Path, simulator: Simulator
) -> None:
    token = simulator.qencode.add("completed", percent=100.0)
    config = write(
        tmp_path / "config.yml", qencode(simulator, token), qencode(simulator, token, name="spare")
    )

    ambiguous = run("wait", "--config.file", str(config), token)
    chosen = run("wait", "--config.file", str(config), f"qencode/spare/{token}")

    assert (ambiguous.returncode, chosen.returncode) == (1, 0)
    assert ambiguous.stderr.splitlines() == [
        f"Error: several tasks are called {token}; name one of them:",
        f"  qencode/vod/{token}  completed",
        f"  qencode/spare/{token}  completed",
    ]


def test_given_an_exporter_that_stops_when_waiting_then_it_is_asked_again_for_a_while(
    tmp_path: Path, simulator: Simulator
) -> None:
    world = World(tmp_path, simulator)
    with serving(world.config) as served:
        command = [*EXPORTER, "wait", "--url", served.site, *QUICK, world.token, "--appear", "1s"]
        with running(command) as process:
            wait_until(lambda: "25%" in process.stdout, 15, "the first line")
            served.stop(signal.SIGTERM)
            process.find("(Connection refused)")

            assert ending(process) == 1
            assert "given up after 0:01: can't ask " in process.stderr


def ending(process: Process) -> int:
    """The status with which a process ends by itself."""
    return process._popen.wait(15)


# --- The ledger, and completion --------------------------------------------------------------------------


def test_given_a_ledger_when_the_services_are_asked_then_it_is_not_touched(
    tmp_path: Path, simulator: Simulator
) -> None:
    token = simulator.qencode.add("encoding")
    ledger = tmp_path / "ledger.db"
    config = write(tmp_path / "config.yml", qencode(simulator, token), storage={"url": f"sqlite:///{ledger}"})

    assert run("tasks", "--config.file", str(config)).returncode == 0
    assert not ledger.exists()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["transcoding-exporter", "ta"], ["tasks"]),
        (
            ["transcoding-exporter", "tasks", "--state", ""],
            ["queued", "running", "completed", "failed", "cancelled", "unknown"],
        ),
        (["transcoding-exporter", "tasks", "--format", "j"], ["json"]),
        (["transcoding-exporter", "wait", "--ap"], ["--appear"]),
        (["transcoding-exporter", "completion", ""], ["bash", "zsh", "fish"]),
    ],
)
def test_given_bash_when_tab_is_pressed_then_it_completes(words: list[str], offered: list[str]) -> None:
    script = """
        eval "$(transcoding-exporter completion bash)"
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        _transcoding_exporter_completion transcoding-exporter
        printf '%s\\n' "${COMPREPLY[@]}"
    """
    folder = os.path.dirname(EXPORTER[0])  # noqa: PTH120 - as PATH has it
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"

    result = subprocess.run(
        ["bash", "--norc", "-c", script, "bash", *words],
        capture_output=True,
        text=True,
        timeout=20,
        env=environment(PATH=path),
    )

    assert (result.stdout.split(), result.stderr) == (offered, "")


@pytest.mark.parametrize(
    ("shell", "words"),
    [
        ("bash", "complete -o nosort"),
        ("zsh", "#compdef transcoding-exporter"),
        ("fish", "complete --no-files"),
    ],
)
def test_when_completion_is_asked_for_then_the_shells_script_is_printed(shell: str, words: str) -> None:
    result = run("completion", shell)

    assert result.returncode == 0
    assert words in result.stdout
    assert "_TRANSCODING_EXPORTER_COMPLETE" in result.stdout
