"""How the commands end when they are called wrongly, or can't write."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands import call
from tests.lacking import do_without
from tests.processes import EXPORTER, environment, run
from tests.watched import QUICK, World


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("tasks", "--url", "http://me:secret@localhost"), "a password has no place in it"),
        (("tasks", "--url", "localhost:10477"), "write it like http://localhost:10477"),
        (("tasks", "--url", "http://localhost:99999"), "write it like http://localhost:10477"),
        (("tasks", "--user", "me"), "--user wants a password"),
        (("tasks", "--key-file", "/dev/null"), "name that with --cert-file"),
        (("tasks", "--url", "http://localhost", "--direct"), "leave one out"),
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
    result = call(*arguments)

    assert (result.status, result.stdout) == (1, "")
    assert words in " ".join(result.stderr.split())
    assert "Traceback" not in result.stderr
    assert "secret" not in result.stderr


def test_given_no_configuration_when_the_services_are_asked_then_the_status_is_1() -> None:
    result = run("tasks", "--direct")

    assert (result.returncode, result.stdout) == (1, "")
    assert "set LIVEPEER_API_KEY or QENCODE_TASK_TOKENS" in result.stderr
    assert "Traceback" not in result.stderr


# --- Where can't be written ------------------------------------------------------------------------------

MUCH = [
    ("--help",),
    ("tasks", "--help"),
    ("rules",),
    ("completion", "bash"),
    ("tasks", "--url", "{url}"),
    ("tasks", "--url", "{url}", "--watch", *QUICK),
    ("wait", "--url", "{url}", "{token}"),
    ("scrape", "--config.file", "{config}"),
]
"""Commands that write to standard output."""


BUFFERED = environment(PYTHONUNBUFFERED="")
"""What is in a buffer is written again at the very end, where nobody can catch what goes wrong."""


def writing(world: World, command: tuple[str, ...], stdout: int) -> tuple[int, str]:
    """The status and the complaints of a command whose standard output is this."""
    words = {"url": world.url, "token": world.token, "config": world.config}
    arguments = [part.format_map(words) for part in command]
    result = subprocess.run(
        [*EXPORTER, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=30,
        env=BUFFERED,
    )
    return result.returncode, result.stderr


@pytest.fixture
def unread() -> Iterator[int]:
    """A pipe that nobody reads any more."""
    reading, unread = os.pipe()
    os.close(reading)
    yield unread
    os.close(unread)


@pytest.fixture(scope="module")
def full() -> Iterator[int]:
    """A file without room."""
    try:
        descriptor = os.open("/dev/full", os.O_WRONLY)
    except OSError:
        do_without("/dev/full")
    yield descriptor
    os.close(descriptor)


@pytest.mark.parametrize("command", MUCH, ids=" ".join)
def test_given_nobody_who_reads_when_run_then_it_ends_as_by_sigpipe(
    still: World, unread: int, command: tuple[str, ...]
) -> None:
    assert writing(still, command, unread) == (141, "")


@pytest.mark.parametrize("command", MUCH, ids=" ".join)
def test_given_no_room_when_run_then_one_line_tells_it(
    still: World, full: int, command: tuple[str, ...]
) -> None:
    assert writing(still, command, full) == (1, "Error: can't write: No space left on device\n")


def test_given_somebody_who_stops_reading_when_watched_then_it_ends_without_a_word(still: World) -> None:
    command = [*EXPORTER, "tasks", *still.asked, *QUICK, "--watch"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=BUFFERED) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith(b"PROVIDER\t")
        process.stdout.close()

        assert process.wait(15) == 141
        assert process.stderr.read() == b""


def test_given_no_room_and_a_task_that_failed_when_asked_then_the_status_is_not_that_of_the_task(
    world: World, full: int
) -> None:
    world.simulator.livepeer.account.fail(world.upload)
    assert call("tasks", *world.asked).status == 2

    assert writing(world, ("tasks", *world.asked), full)[0] == 1


def test_given_no_room_for_complaints_either_when_asked_then_the_status_is_1(full: int) -> None:
    command = [*EXPORTER, "tasks", "--url", "http://127.0.0.1:1"]

    assert subprocess.run(command, stdout=full, stderr=full, timeout=30, env=BUFFERED).returncode == 1


def test_given_no_standard_output_at_all_when_asked_then_the_status_is_as_ever(still: World) -> None:
    command = ["sh", "-c", 'exec "$@" >&-', "sh", *EXPORTER, "tasks", *still.asked]

    result = subprocess.run(command, stderr=subprocess.PIPE, text=True, timeout=30, env=BUFFERED)

    assert (result.returncode, result.stderr) == (0, "")


def test_given_nobody_who_reads_when_files_are_written_then_it_is_not_the_folder_that_is_blamed(
    still: World, unread: int, tmp_path: Path
) -> None:
    command = ("rules", "--directory", str(tmp_path / "rules"))

    assert writing(still, command, unread) == (141, "")
