"""`wait`, on a terminal and in a pipe."""

import re
from pathlib import Path

import pytest

from exporter.simulator import Simulator
from tests.commands import call
from tests.processes import EXPORTER, Process, run, running, wait_until
from tests.screens import CTRL_C, on_terminal
from tests.served import qencode, serving, write
from tests.watched import QUICK, World


def ending(process: Process) -> int:
    """The status with which a process ends by itself."""
    return process._popen.wait(15)


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

    result = call("wait", *world.asked, f"qencode/vod/{world.token}", "--interval", "1h")

    assert (result.status, result.stderr) == (0, "")
    assert result.stdout.count("\n") == 1


def test_given_a_task_that_goes_on_when_waited_for_no_longer_than_told_then_the_status_is_4(
    still: World,
) -> None:
    result = call("wait", *still.asked, still.token, "--timeout", "500ms")

    assert result.status == 4
    assert result.stderr == f"{still.token} has not ended within 0 s\n"


def test_given_a_task_that_is_not_known_when_waited_for_then_it_may_yet_appear(world: World) -> None:
    name = "00000000-0000-4000-8000-000000000000"
    with running([*EXPORTER, "wait", *world.asked, *QUICK, name]) as process:
        process.find("(is not known)")
        world.simulator.livepeer.account.add("upload", id=name)
        wait_until(lambda: "queued" in process.stdout, 15, "it appears")
        world.simulator.livepeer.account.complete(name)
        assert ending(process) == 0

    result = call("wait", *world.asked, "nope", "--appear", "300ms")
    assert (result.status, result.stdout) == (1, "")
    assert result.stderr.splitlines()[-1] == "given up after 0 s: nope is not known"


def test_given_another_shard_s_task_when_waited_for_then_it_is_told_to_ask_the_others(
    tmp_path: Path, simulator: Simulator
) -> None:
    # By b2sum, as in tests/unit/test_sharding.py: of two shards, the first token belongs to 0.
    there, here = (simulator.qencode.add("completed", token=digit * 32, percent=100.0) for digit in "40")
    config = write(tmp_path / "config.yml", qencode(simulator, there, here))

    with serving(config, "--shard=1", "--total-shards=2") as served:
        found = call("wait", "--url", served.site, here)
        missed = call("wait", "--url", served.site, there, "--appear", "300ms")
        summary = call("tasks", "--url", served.site, "--format", "summary")
        listening = served.process.find("(.*event=listening.*)")
        scraped = served.scrape()

    assert (found.status, found.stderr) == (0, "")
    assert missed.status == 1
    assert missed.stderr.splitlines()[-1] == (
        f"given up after 0 s: {there} is not known:"
        " shard 1 of 2 (counted from 0) shows only its own tasks; --url asks another"
    )
    assert ", of shard 1 of 2 (counted from 0) only | " in summary.stdout
    assert ' shard="1/2 (counted from 0)"' in listening
    assert scraped.value("transcoding_exporter_shard_ordinal") == 1
    assert scraped.value("transcoding_exporter_total_shards") == 2


def test_given_hashed_tokens_when_waited_for_by_the_token_then_it_is_found_and_not_repeated(
    tmp_path: Path, simulator: Simulator
) -> None:
    token = simulator.qencode.add("completed", token="a-very-secret-token", percent=100.0)
    config = write(tmp_path / "config.yml", qencode(simulator, token), metrics={"task_label": "hash"})

    with serving(config) as served:
        by_url = call("wait", "--url", served.site, token)
        with on_terminal("wait", "--url", served.site, token) as terminal:
            assert terminal.end() == 0
    direct = run("wait", "--config.file", str(config), token)

    assert (by_url.status, direct.returncode) == (0, 0)
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


def test_given_an_exporter_that_stops_when_waiting_then_it_is_asked_again_for_a_while(world: World) -> None:
    with running([*EXPORTER, "wait", *world.asked, *QUICK, world.token, "--appear", "1s"]) as process:
        wait_until(lambda: "25%" in process.stdout, 15, "the first line")
        world.stop()
        process.find("(Connection refused)")

        assert ending(process) == 1
        assert "given up after 1 s: can't ask " in process.stderr
