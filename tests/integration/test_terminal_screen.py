"""`tasks`, on a terminal."""

import re
import signal

from exporter.simulator import Fault, FaultKind
from tests.screens import CTRL_C, on_terminal
from tests.watched import QUICK, STALLED_AFTER, World

ESCAPE = b"\x1b"
SHOW_CURSOR = b"\x1b[?25h"


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
        assert ESCAPE not in terminal.written


def test_given_an_account_that_goes_down_when_watched_then_it_is_told_and_the_watch_goes_on(
    world: World,
) -> None:
    with on_terminal("tasks", *world.asked, *QUICK) as terminal:
        terminal.see(lambda text: "40%" in text, "the table")

        world.simulator.faults.set("livepeer", Fault(FaultKind.SERVER_ERROR))
        screen = terminal.see(
            lambda text: re.search("✗ livepeer/studio is down for .*: .*HTTP 500", text), "the account"
        )
        assert world.upload in screen
        world.simulator.faults.clear()
        terminal.see(lambda text: "is down" not in text, "the account is up again")


def test_given_an_exporter_that_stops_when_watched_then_it_is_told_and_asked_again(world: World) -> None:
    with on_terminal("tasks", *world.asked, *QUICK) as terminal:
        terminal.see(lambda text: "40%" in text, "the table")

        world.stop()
        screen = terminal.see(lambda text: "Connection refused; trying again" in text, "the trouble")
        assert "40%" in screen
        world.start()
        terminal.see(lambda text: "trying again" not in text and "40%" in text, "it is back")


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
