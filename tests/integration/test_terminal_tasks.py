"""`tasks`, in a pipe."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.simulator import Fault, FaultKind, Simulator
from tests.commands import call
from tests.processes import EXPORTER, run, running, wait_until
from tests.screens import on_terminal
from tests.served import Served, qencode, serving, write
from tests.watched import QUICK, STALLED_AFTER, World, rows

ESCAPE = "\x1b"
SHARD_1 = ("--shard=1", "--total-shards=2")
OWN_ONLY = "shard 1 of 2 (counted from 0) shows only its own tasks; --url asks another"


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
    result = call("tasks", *still.asked, *filters, "--format", "json")

    assert (result.status, result.stderr) == (0, "")
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


@pytest.fixture
def shard(tmp_path: Path, simulator: Simulator) -> Iterator[Served]:
    """One of two shards, to which the one token belongs."""
    # By b2sum, as in tests/unit/test_sharding.py.
    token = simulator.qencode.add("encoding", token="0" * 32, percent=25.0)
    with serving(write(tmp_path / "config.yml", qencode(simulator, token)), *SHARD_1) as served:
        yield served


@pytest.mark.parametrize("style", ["table", "json"])
def test_given_a_shard_when_asked_then_beside_what_a_program_reads_it_is_told_that_there_are_others(
    shard: Served, style: str
) -> None:
    result = call("tasks", "--url", shard.site, "--format", style)

    assert (result.status, result.stderr) == (0, f"{OWN_ONLY}\n")
    found = rows(result.stdout) if style == "table" else json.loads(result.stdout)
    assert [task["TASK" if style == "table" else "task"] for task in found] == ["0" * 32]


def test_given_a_shard_when_summed_up_then_the_sum_itself_tells(shard: Served) -> None:
    result = call("tasks", "--url", shard.site, "--format", "summary")

    assert (result.status, result.stderr) == (0, "")
    assert ", of shard 1 of 2 (counted from 0) only | " in result.stdout


def test_given_a_shard_when_it_is_shown_on_a_terminal_then_it_is_told_once(shard: Served) -> None:
    with on_terminal("tasks", "--url", shard.site, "--once", columns=120) as terminal:
        assert terminal.end() == 0

    assert terminal.text.count(OWN_ONLY) == 1


def test_given_a_shard_is_watched_in_a_pipe_then_it_is_told_once(shard: Served) -> None:
    command = [*EXPORTER, "tasks", "--url", shard.site, *QUICK, "--watch", "--format", "json"]
    with running(command) as process:
        wait_until(lambda: process.stdout.count("\n") >= 3, 15, "three looks")
        process.stop(signal.SIGINT)

        assert process.stderr == f"{OWN_ONLY}\n"
        assert all(len(json.loads(line)) == 1 for line in process.stdout.splitlines())


def test_given_json_is_watched_then_each_look_is_a_line(still: World) -> None:
    with running([*EXPORTER, "tasks", *still.asked, *QUICK, "--watch", "--format", "json"]) as process:
        wait_until(lambda: process.stdout.count("\n") >= 2, 15, "two looks")
        status, _ = process.stop(signal.SIGINT)

        assert status == 130
        assert process.stderr == ""
        looks = [json.loads(line) for line in process.stdout.splitlines()]
    assert all(sorted(task["progress"] for task in look) == [0.25, 0.4] for look in looks)


def test_given_a_task_that_fails_when_asked_then_the_status_is_2(world: World) -> None:
    assert call("tasks", *world.asked).status == 0

    world.simulator.livepeer.account.fail(world.upload)

    assert call("tasks", *world.asked).status == 2
    assert call("tasks", *world.asked, "--sort", "progress", "--limit", "1").status == 2
    assert call("tasks", *world.asked, "--provider", "qencode").status == 0
    summary = call("tasks", *world.asked, "--format", "summary")
    assert summary.status == 2
    assert summary.stdout.startswith("TRANSCODING CRITICAL: 1 failed, 0 stalled, 1 running, 0 queued | ")


@pytest.mark.parametrize("direct", [False, True])
def test_given_a_task_that_is_stalled_when_asked_then_the_status_is_2(world: World, direct: bool) -> None:
    world.simulator.clock.advance(STALLED_AFTER)
    source = ("--config.file", str(world.config)) if direct else world.asked

    result = run("tasks", *source, "--stalled")

    assert result.returncode == 2
    assert [row["TASK"] for row in rows(result.stdout)] == [world.upload]


def test_given_what_had_failed_before_when_asked_then_it_is_told_apart_and_the_status_is_0(
    world: World,
) -> None:
    world.simulator.livepeer.account.fail(world.upload)
    world.simulator.clock.advance(60)
    # To a command that asks the services itself, all that has ended is history.
    direct = ("tasks", "--config.file", str(world.config), "--once")

    summary = run(*direct, "--format", "summary")
    with on_terminal(*direct, columns=120) as terminal:
        status = terminal.end()

    assert (summary.returncode, status) == (0, 0)
    assert summary.stdout.startswith("TRANSCODING OK: 0 failed, 0 stalled, 1 running, 0 queued | ")
    assert terminal.lines[1] == "✗ 0 failed, 1 earlier   ● 1 running"


def test_given_an_account_that_is_down_when_asked_then_the_status_is_1_and_the_rest_is_shown(
    world: World,
) -> None:
    world.simulator.faults.set("livepeer", Fault(FaultKind.SERVER_ERROR))

    result = call("tasks", *world.asked)

    assert result.status == 1
    assert result.stderr.startswith("livepeer/studio is down for ")
    assert "HTTP 500" in result.stderr
    assert [row["TASK"] for row in rows(result.stdout)] == [world.token]
    assert call("tasks", *world.asked, "--account", "vod").status == 0


def test_given_a_ledger_when_the_services_are_asked_then_it_is_not_touched(
    tmp_path: Path, simulator: Simulator
) -> None:
    token = simulator.qencode.add("encoding")
    ledger = tmp_path / "ledger.db"
    config = write(tmp_path / "config.yml", qencode(simulator, token), storage={"url": f"sqlite:///{ledger}"})

    assert run("tasks", "--config.file", str(config)).returncode == 0
    assert not ledger.exists()
