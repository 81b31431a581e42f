"""Where knowledge is kept, what of it survives a restart, and what is told when it can't be kept."""

import os
import shutil
import signal
import sqlite3
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import pytest
import requests

from exporter.simulator import Simulator
from tests.integration import postgresql
from tests.lacking import do_without
from tests.processes import EXPORTER, environment, exporting, wait_until
from tests.scraping import Scrape, read, scrape
from tests.served import Served, counters, execute, livepeer, of, qencode, serving, write
from tests.status_server import StatusServer, statuses

PASSWORD = "hunter2-and-more"
DEGRADED = "transcoding_exporter_ledger_degraded"


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator() as simulator:
        yield simulator


@pytest.fixture
def config(tmp_path: Path, simulator: Simulator) -> Path:
    """An account of each service; the simulated ones have a task each."""
    simulator.livepeer.account.add("upload")
    return write(
        tmp_path / "config.yml", qencode(simulator, simulator.qencode.add("queued")), livepeer(simulator)
    )


@pytest.fixture(scope="module")
def postgresql_url() -> Iterator[str]:
    with postgresql.running() as url:
        yield url


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


def refused(config: Path, *arguments: str, **variables: str) -> str:
    """Serve what can't be served; return the words on standard error."""
    result = subprocess.run(
        [*EXPORTER, "serve", f"--config.file={config}", "--web.listen-address=127.0.0.1:0", *arguments],
        capture_output=True,
        text=True,
        timeout=20,
        cwd=config.parent,
        env=environment(**variables),
    )
    assert (result.returncode, result.stdout) == (1, "")
    assert "Traceback" not in result.stderr
    assert "listening" not in result.stderr
    return result.stderr


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def folder_of(pid: int) -> Path:
    """The working folder of a process."""
    return Path(f"/proc/{pid}/cwd").resolve()


# --- Where ---------------------------------------------------------------------------------------------


def test_given_nothing_said_then_it_is_in_data_below_the_working_folder(config: Path) -> None:
    with exporting("serve", f"--config.file={config}") as (process, url):
        scrape(url)

        assert "data/ledger.db" in files(folder_of(process.pid))


@pytest.mark.parametrize("way", ["flag", "variable", "configuration", "flag before configuration"])
def test_given_a_place_then_it_is_there_and_nowhere_else(
    config: Path, ledger: Path, simulator: Simulator, way: str
) -> None:
    arguments, variables = [], {}
    if "flag" in way:
        arguments = [f"--storage.path={ledger}"]
    if way == "variable":
        variables = {"TRANSCODING_EXPORTER_STORAGE_PATH": str(ledger)}
    if "configuration" in way:
        place = ledger.with_name("other.db") if "flag" in way else ledger
        write(config, livepeer(simulator), storage={"url": f"sqlite:///{place}"})
    with exporting("serve", f"--config.file={config}", *arguments, **variables) as (process, url):
        scrape(url)

        assert files(folder_of(process.pid)) == {"stdout", "stderr"}
        assert {name for name in files(ledger.parent) if name.endswith(".db")} == {"ledger.db"}


def test_given_a_relative_place_then_it_starts_from_the_working_folder(config: Path) -> None:
    with exporting("serve", f"--config.file={config}", "--storage.path=deep/down/l.db") as (process, url):
        scrape(url)

        assert "deep/down/l.db" in files(folder_of(process.pid))


@pytest.mark.parametrize("way", ["--storage.path=", "--storage.path=:memory:", "memory://", "demo"])
def test_given_that_nothing_is_to_be_kept_then_no_file_is_made(
    config: Path, simulator: Simulator, way: str
) -> None:
    arguments = ["serve", f"--config.file={config}", way]
    if way == "memory://":
        write(config, livepeer(simulator), storage={"url": way})
        arguments.pop()
    with exporting(*(["demo"] if way == "demo" else arguments)) as (process, url):
        answers = [scrape(url), scrape(url)]

        assert files(folder_of(process.pid)) == {"stdout", "stderr"}
        assert answers[-1].value(DEGRADED) == 0
        assert answers[-1].total("transcoding_tasks", provider="livepeer") > 0
        assert process.stop()[0] == 0
        assert "level=error" not in process.stderr


@pytest.mark.parametrize("storage", [{}, {"url": "sqlite:///kept.db"}])
def test_when_scraped_once_then_no_file_is_made_and_a_ledger_is_left_alone(
    config: Path, simulator: Simulator, storage: Mapping[str, str], tmp_path: Path
) -> None:
    write(config, livepeer(simulator), storage=storage)
    before = files(tmp_path)
    result = subprocess.run(
        [*EXPORTER, "scrape", f"--config.file={config}"],
        capture_output=True,
        text=True,
        timeout=20,
        cwd=tmp_path,
        env=environment(),
    )

    assert result.returncode == 0
    assert sum(read(result.stdout)["transcoding_tasks"].values()) == 1
    assert files(tmp_path) == before


# --- What survives -------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_when_it_ends_and_starts_again_then_counters_and_tasks_are_what_they_were(
    config: Path, ledger: Path, simulator: Simulator, number: signal.Signals
) -> None:
    """Nobody answers after the restart: what is there was remembered."""
    flag = f"--storage.path={ledger}"
    failing, running = simulator.qencode.add("queued"), simulator.qencode.add("queued")
    write(config, qencode(simulator, failing, running), livepeer(simulator))
    with serving(config, flag) as exporter:
        exporter.scrape()
        simulator.qencode.fail(failing)
        simulator.qencode.set(running, "encoding", percent=40.0)
        before = exporter.scrape()
        assert before.total("transcoding_task_failures_total", account="vod") == 1
        exporter.stop(number)
    simulator.stop()
    with serving(config, flag) as exporter:
        after = exporter.scrape(timeout="3")

        assert after.by("account", "transcoding_up") == {"vod": 0, "studio": 0}
        for account in ("vod", "studio"):
            assert remembered(account, after) == remembered(account, before)
            assert counters(account, after) == counters(account, before) != {}
        assert after.by("task", "transcoding_task_progress_ratio")[running] == 0.4


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_given_a_task_that_fails_while_nobody_watches_when_started_again_then_that_is_an_increase(
    config: Path, ledger: Path, simulator: Simulator, number: signal.Signals
) -> None:
    flag = f"--storage.path={ledger}"
    token = simulator.qencode.add("queued")
    write(config, qencode(simulator, token))
    with serving(config, flag) as exporter:
        assert failures(exporter.scrape()) == 0
        exporter.stop(number)
    simulator.qencode.fail(token)
    with serving(config, flag) as exporter:
        assert failures(exporter.scrape()) == 1
        assert failures(exporter.scrape()) == 1
        exporter.stop(number)
    with serving(config, flag) as exporter:
        assert failures(exporter.scrape()) == 1


def failures(answer: Scrape) -> float:
    """The failures counted; the counter is there, be it at 0."""
    assert len(answer.by("reason", "transcoding_task_failures_total", account="vod")) > 1
    return answer.total("transcoding_task_failures_total", account="vod")


def remembered(account: str, answer: Scrape) -> dict[object, float]:
    """What is known of an account's tasks."""
    return {
        key: number
        for key, number in of(account, answer).items()
        if not key[0].startswith(("transcoding_unknown_tokens", "transcoding_token_source_up"))
    }


def test_given_a_ledger_that_failed_for_a_while_when_told_to_stop_then_what_waits_is_written(
    config: Path, ledger: Path, simulator: Simulator
) -> None:
    flag = f"--storage.path={ledger}"
    token = simulator.qencode.add("queued")
    write(config, qencode(simulator, token))
    with serving(config, flag) as exporter:
        exporter.scrape()
        execute(ledger, "ALTER TABLE counts RENAME TO hidden")
        simulator.qencode.fail(token)
        answer = exporter.scrape()
        assert (failures(answer), answer.value(DEGRADED)) == (1, 1)
        execute(ledger, "ALTER TABLE hidden RENAME TO counts")
        assert exporter.stop() == 0
    simulator.stop()
    with serving(config, flag) as exporter:
        answer = exporter.scrape(timeout="3")
        assert (failures(answer), answer.value(DEGRADED)) == (1, 0)


# --- What can't be used --------------------------------------------------------------------------------


OTHERS = "name another with --storage.path=FILE, or keep nothing with --storage.path="


@pytest.mark.parametrize(
    ("place", "problem", "remedy"),
    [
        ("/proc/ledger.db", "{} can't be made: nobody can keep a file in /proc", ""),
        ("/proc/folder/ledger.db", "{} can't be made: nobody can keep a file in /proc", ""),
        ("config.yml", "{} is no ledger", "move it away, "),
        ("config.yml/ledger.db", "{} can't be made: config.yml is a file, not a folder", "move that away, "),
        (".", "{} is a folder", "write ledger.db, "),
        ("users.db", "{} is no ledger, but another program's database of SQLite", ""),
        ("page.txt", "{} is no ledger", "move it away, "),
        ("pipe.db", "{} is a socket, a pipe or a device, not a file", ""),
        ("link.db", "{0} can't be made: {0} is a link, and there is no folder /no/such", "make that, "),
        ("x" * 248, "{} can't be reached: File name too long", ""),
    ],
)
@pytest.mark.parametrize("way", ["flag", "configuration"])
def test_given_a_place_where_no_ledger_can_be_then_it_refuses_and_tells_once_what_to_do(
    config: Path, simulator: Simulator, place: str, problem: str, remedy: str, way: str
) -> None:
    if way == "configuration":
        write(config, livepeer(simulator), storage={"url": f"sqlite:///{place}"})
    users, page = config.with_name("users.db"), config.with_name("page.txt")
    execute(users, "CREATE TABLE users (name TEXT)")
    page.write_text("x" * 4096)
    os.mkfifo(config.with_name("pipe.db"))
    config.with_name("link.db").symlink_to("/no/such/ledger.db")
    before, held = files(config.parent), (users.read_bytes(), page.read_bytes())
    words = refused(config, *([f"--storage.path={place}"] if way == "flag" else []))

    assert words == f"Error: the ledger can't be used: {problem.format(place)}\n{remedy}{OTHERS}\n"
    assert files(config.parent) == before
    assert (users.read_bytes(), page.read_bytes()) == held


@pytest.mark.parametrize(
    ("place", "what"),
    [
        ("kept/ledger.db", "made: {}/kept is not writable for this user"),
        ("kept/deep/ledger.db", "made: {}/kept is not writable for this user"),
        ("kept/old.db", "written: {}/kept is not writable for this user"),
        ("only-read.db", "written: {}/only-read.db is not writable for this user"),
        ("closed/deep/ledger.db", "reached: Permission denied"),
    ],
)
def test_given_a_place_that_this_user_can_not_write_then_it_refuses_but_a_check_only_notes_it(
    config: Path, place: str, what: str
) -> None:
    """Another user may be the one that serves."""
    folder = config.parent
    (folder / "closed" / "deep").mkdir(parents=True)
    (folder / "kept").mkdir()
    (folder / "kept" / "old.db").touch()
    (folder / "only-read.db").touch(0o400)
    (folder / "kept").chmod(0o500)
    (folder / "closed").chmod(0)
    path, flag = f"{folder}/{place}", f"--storage.path={folder}/{place}"
    try:
        served, checked = (
            subprocess.run(
                [*unprivileged(), *EXPORTER, *arguments, f"--config.file={config}", flag],
                capture_output=True,
                text=True,
                timeout=20,
                cwd=folder,
                env=environment(),
            )
            for arguments in (("serve", "--web.listen-address=127.0.0.1:0"), ("check-config",))
        )
    finally:
        (folder / "kept").chmod(0o700)
        (folder / "closed").chmod(0o700)

    problem, remedy = f"{path} can't be {what.format(folder)}", "let the user that serves write there"
    told = f"Error: the ledger can't be used: {problem}\n{remedy}, {OTHERS}\n"
    assert (served.returncode, served.stdout, served.stderr) == (1, "", told)
    note = f"note: --storage.path: {problem}; {remedy}, or name another file\n"
    assert (checked.returncode, checked.stderr) == (0, note)
    assert checked.stdout == "OK: qencode/vod (1 token), livepeer/studio\n"
    assert not (folder / "kept" / "deep").exists()


def unprivileged() -> Sequence[str]:
    """What begins the command of a process to which the rights of files apply: to root they don't."""
    if os.geteuid():
        return ()
    if not shutil.which("setpriv"):
        do_without("setpriv")
    return "setpriv", "--bounding-set=-dac_override,-dac_read_search"


def test_given_a_ledger_of_a_newer_version_then_it_refuses_and_changes_nothing(
    config: Path, ledger: Path
) -> None:
    with serving(config, f"--storage.path={ledger}") as exporter:
        exporter.scrape()
        exporter.stop()
    execute_committed(ledger, "UPDATE schema_version SET version = 99")
    before = ledger.read_bytes()
    words = refused(config, f"--storage.path={ledger}")

    assert "schema 99" in words
    assert "newer version" in words
    assert words.endswith(f"; run that one, or give this one another database\n{OTHERS}\n")
    assert ledger.read_bytes() == before


def execute_committed(ledger: Path, statement: str) -> None:
    with closing(sqlite3.connect(ledger)) as connection:
        connection.execute(statement)
        connection.commit()
        # Into the file itself, for its bytes are compared.
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def test_given_a_damaged_ledger_then_it_is_set_aside_and_a_new_one_begun(
    config: Path, ledger: Path, simulator: Simulator
) -> None:
    damaged = b"\xa5" * 8192
    with serving(config, f"--storage.path={ledger}") as exporter:
        exporter.stop()
    ledger.write_bytes(damaged)
    with serving(config, f"--storage.path={ledger}") as exporter:
        answer = exporter.scrape()

        (kept,) = [path for path in ledger.parent.iterdir() if ".damaged-" in path.name]
        assert kept.read_bytes() == damaged
        (line,) = [line for line in exporter.process.stderr.splitlines() if "level=error" in line]
        assert "ledger is damaged, it is set aside" in line
        assert str(kept) in line
        assert answer.value(DEGRADED) == 0, "the new one works"
        assert answer.by("account", "transcoding_up") == {"vod": 1, "studio": 1}


# --- PostgreSQL, and its password ----------------------------------------------------------------------


def test_given_postgresql_without_its_driver_then_the_error_says_how_to_install_it(
    config: Path, simulator: Simulator, tmp_path: Path
) -> None:
    """A package of the driver's name that can't be imported stands for none."""
    (tmp_path / "hidden" / "psycopg").mkdir(parents=True)
    missing = 'raise ModuleNotFoundError("No module named \'psycopg\'", name="psycopg")\n'
    (tmp_path / "hidden" / "psycopg" / "__init__.py").write_text(missing)
    write(config, livepeer(simulator), storage={"url": f"postgresql://me:{PASSWORD}@127.0.0.1:1/db"})
    search = os.pathsep.join([str(tmp_path / "hidden"), os.environ.get("PYTHONPATH", "")])
    words = refused(config, PYTHONPATH=search)

    assert "pip install 'transcoding-exporter[postgresql]'" in words
    assert PASSWORD not in words


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://me:{PASSWORD}@127.0.0.1:1/db",
        f"postgresql://127.0.0.1:1/db?user=me&password={PASSWORD}",
        f"postgresql://me:{PASSWORD}@127.0.0.1:nowhere/db",
        f"postgresql://me:{PASSWORD}@127.0.0.1:1/db?no_such_option=1",
        f"postgresql://me:{PASSWORD}@/db?host=/no/such/folder",
        f"mysql://me:{PASSWORD}@127.0.0.1/db",
    ],
)
def test_given_a_database_that_can_not_be_used_then_the_error_does_not_show_its_password(
    config: Path, simulator: Simulator, url: str
) -> None:
    write(config, livepeer(simulator), storage={"url": url})
    words = refused(config, "--log.level=debug")

    assert words.strip()
    assert PASSWORD not in words


def test_given_a_database_with_a_password_then_nothing_that_anybody_can_read_shows_it(
    config: Path, simulator: Simulator, postgresql_url: str
) -> None:
    url = f"{postgresql_url}?password={PASSWORD}"
    write(config, qencode(simulator, simulator.qencode.add("queued")), storage={"url": url})
    flags = ("--web.enable-lifecycle", "--log.level=debug")
    with exporting("serve", f"--config.file={config}", *flags) as (process, at):
        exporter = Served(process, at)
        exporter.scrape()
        write(config, qencode(simulator, "t1"), storage={"url": url.replace("postgres?", "other?")})
        seen = [
            exporter.reload().text,
            requests.get(exporter.url, timeout=10).text,
            requests.get(exporter.site, timeout=10).text,
            Path(f"/proc/{process.pid}/cmdline").read_text(),
        ]
        process.stop()
        seen += [process.stdout, process.stderr]

    assert "key=storage.url" in seen[-1]
    assert [text for text in seen if PASSWORD in text] == []


# --- Two at once ---------------------------------------------------------------------------------------


def test_given_two_exporters_on_one_ledger_then_the_second_says_so_and_the_file_stays_whole(
    config: Path, ledger: Path, simulator: Simulator
) -> None:
    flag = f"--storage.path={ledger}"
    tokens = [simulator.qencode.add("queued") for _ in range(20)]
    write(config, qencode(simulator, *tokens), livepeer(simulator))
    with serving(config, flag) as first, serving(config, flag) as second:
        assert "another exporter" not in first.process.stderr
        second.process.find(f'(event="another exporter uses this ledger.*ledger={ledger})')
        for token in tokens:
            simulator.qencode.set(token, "encoding")
            both = [threading.Thread(target=one.scrape) for one in (first, second)]
            for thread in both:
                thread.start()
            for thread in both:
                thread.join()
        assert [one.scrape().value(DEGRADED) for one in (first, second)] == [0, 0]
        first.stop()
        second.stop()
        assert "Traceback" not in first.process.stderr + second.process.stderr
    with closing(sqlite3.connect(ledger)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    with serving(config, flag) as alone:
        answer = alone.scrape()
        assert "another exporter" not in alone.process.stderr
        assert answer.by("phase", "transcoding_tasks", account="vod")["encoding"] == 20


def test_when_started_again_after_a_kill_then_nobody_else_is_said_to_use_the_ledger(
    config: Path, ledger: Path
) -> None:
    for _ in range(2):
        with serving(config, f"--storage.path={ledger}") as exporter:
            exporter.scrape()
            assert "another exporter" not in exporter.process.stderr
            exporter.stop(signal.SIGKILL)


# --- Ready, and the end --------------------------------------------------------------------------------


def test_given_a_provider_that_hangs_when_asked_for_its_health_then_it_is_ready_at_once(
    config: Path, simulator: Simulator
) -> None:
    released = threading.Event()

    def answer(tokens: Sequence[str]) -> bytes:
        released.wait(20)
        return statuses(**{token: {"status": "encoding"} for token in tokens})

    with StatusServer(answer) as api:
        write(config, qencode(simulator, "t1", base_url=api.url))
        with serving(config) as exporter:
            scraper = threading.Thread(target=exporter.scrape, args=("30",))
            scraper.start()
            wait_until(lambda: api.calls, 10, "the provider is asked")
            for page in ("healthy", "ready"):
                answered = requests.get(f"{exporter.site}/-/{page}", timeout=3)
                assert (answered.status_code, answered.text) == (200, f"{page.capitalize()}.\n")
            released.set()
            scraper.join()


def test_given_a_port_that_is_taken_then_the_ledger_is_left_in_order(config: Path, ledger: Path) -> None:
    with serving(config) as other:
        words = refused(
            config, f"--storage.path={ledger}", f"--web.listen-address={other.site.removeprefix('http://')}"
        )

    assert "Address already in use" in words
    assert not ledger.with_name("ledger.db-wal").exists()
