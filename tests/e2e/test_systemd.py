"""The unit: what systemd's own tools say of it, and the exporter, started as it says."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.core import ParameterSource

from exporter.cli import main
from exporter.simulator import Simulator
from tests import confined
from tests.processes import EXPORTER, Process, running, wait_until
from tests.scraping import scrape

Tool = Callable[[str], str]

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "systemd" / "transcoding-exporter.service"
ENVIRONMENT = ROOT / "systemd" / "environment"

CREDENTIALS = "/run/credentials/transcoding-exporter.service"


def settings(text: str) -> dict[str, list[str]]:
    """The settings of a unit: each with its values, in order."""
    found: dict[str, list[str]] = {}
    for name, value in re.findall(r"(?m)^(\w+)=(.*)$", text):
        found.setdefault(name, []).append(value)
    return found


def analyze(tool: Tool, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Ask systemd-analyze, which must not ask a systemd that runs here."""
    command = [tool("systemd-analyze"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


# --- What systemd says of it -----------------------------------------------------------------------------


def test_systemd_finds_no_mistake(tool: Tool, tmp_path: Path) -> None:
    (program,) = re.findall(r"(?m)^ExecStart=(\S+)", UNIT.read_text())
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace(f"={program}", f"={EXPORTER[0]}"))

    verified = analyze(tool, "verify", "--man=no", str(unit))

    assert (verified.returncode, verified.stdout, verified.stderr) == (0, "", "")


def test_systemd_finds_it_little_exposed(tool: Tool) -> None:
    judged = analyze(tool, "security", "--offline=true", "--threshold=20", "--no-pager", str(UNIT))
    (exposure,) = re.findall(
        r"Overall exposure level for transcoding-exporter.service: ([\d.]+)", judged.stdout
    )

    assert (judged.returncode, float(exposure) <= 2.0) == (0, True), judged.stdout + judged.stderr


# --- The exporter, started as it says --------------------------------------------------------------------


def allowed(tool: Tool, unit: dict[str, list[str]]) -> list[str]:
    """The system calls that the unit lets the exporter make."""

    def calls(name: str) -> Iterator[str]:
        if not name.startswith("@"):
            yield name
            return
        listed = analyze(tool, "syscall-filter", name).stdout.splitlines()[1:]
        for each in (line.strip() for line in listed if not line.strip().startswith("#")):
            yield from calls(each)

    found: set[str] = set()
    for line in unit["SystemCallFilter"]:
        named = {call for name in line.removeprefix("~").split() for call in calls(name)}
        found = found - named if line.startswith("~") else found | named
    return sorted(found)


@contextmanager
def started(tool: Tool, folder: Path, **variables: str) -> Iterator[Process]:
    """The exporter, started like by systemd: its folders are below another, its rights those of the unit."""
    unit = settings(UNIT.read_text().replace("=/etc/transcoding-exporter/", f"={folder}/etc/"))
    program, *arguments = unit["ExecStart"][0].split()
    assert program == "/usr/local/bin/transcoding-exporter"
    state = folder / unit["WorkingDirectory"][0].replace("%S", "state")
    assert unit["StateDirectory"] == [state.name], "systemd makes it"
    state.mkdir(parents=True)
    environment = dict(line.split("=", 1) for line in unit["Environment"])
    confinement = [confined.__file__, " ".join(allowed(tool, unit)), unit["RestrictAddressFamilies"][0]]
    command = ["env", f"--chdir={state}", sys.executable, *confinement, *EXPORTER, *arguments]
    with running(command, environment | variables) as process:
        yield process


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator() as simulator:
        simulator.livepeer.account.add("upload")
        yield simulator


def test_given_a_key_for_root_only_then_it_starts_watches_reloads_and_ends_as_the_unit_says(
    tool: Tool, simulator: Simulator, tmp_path: Path
) -> None:
    # systemd hands keys/livepeer over, as root, under this name.
    assert settings(UNIT.read_text())["LoadCredential"] == ["key:/etc/transcoding-exporter/keys"]
    key = tmp_path / "credentials" / "key_livepeer"
    key.parent.mkdir()
    key.write_text(f"{simulator.livepeer_key}\n")
    account = {"name": "studio", "base_url": simulator.livepeer_url, "api_key_file": str(key)}
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "config.yml").write_text(json.dumps({"livepeer": [account]}))
    variables = {
        "NOTIFY_SOCKET": f"@transcoding-exporter-unit-{os.getpid()}",
        "TRANSCODING_EXPORTER_WEB_LISTEN_ADDRESS": "127.0.0.1:0",
    }

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.settimeout(20)
        systemd.bind("\0" + variables["NOTIFY_SOCKET"][1:])
        with started(tool, tmp_path, **variables) as process:
            url = process.find(r"url=(http://\S+)")
            assert systemd.recv(4096) == b"READY=1"
            scraped = scrape(url)

            assert scraped.by("account", "transcoding_up") == {"studio": 1}
            assert scraped.total("transcoding_tasks", task_type="upload") == 1
            assert (tmp_path / "state" / "transcoding-exporter" / "data" / "ledger.db").is_file()

            assert settings(UNIT.read_text())["ExecReload"] == ["/bin/kill -HUP $MAINPID"]
            os.kill(process.pid, signal.SIGHUP)
            wait_until(lambda: "configuration reloaded" in process.stderr, 15, "a reload")

            assert process.stop()[0] == 0
            assert [line for line in process.stderr.splitlines() if "level=info" not in line] == []


def test_the_confinement_of_these_tests_is_one(tool: Tool) -> None:
    calls = " ".join(allowed(tool, settings(UNIT.read_text())))
    tries = "\n".join(
        [
            "import contextlib, os, socket",
            "for attempt in (lambda: os.chown('.', 0, 0), lambda: socket.socket(socket.AF_NETLINK)):",
            "    try: attempt()",
            "    except PermissionError: print('refused')",
        ]
    )
    program = [sys.executable, confined.__file__, calls, "AF_INET", sys.executable, "-c", tries]

    done = subprocess.run(program, capture_output=True, text=True, timeout=30)

    assert (done.stdout, done.stderr) == ("refused\nrefused\n", "")


# --- The words in the files ------------------------------------------------------------------------------


def test_the_unit_says_where_the_key_is_that_systemd_hands_over() -> None:
    assert f"{CREDENTIALS}/key_livepeer" in UNIT.read_text()
    assert CREDENTIALS.endswith(UNIT.name)


def test_whatever_the_example_of_an_environment_sets_is_a_flag_that_can_be_that(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines = re.findall(r"(?m)^#(\w+)=(.*)$", ENVIRONMENT.read_text())
    for name, value in lines:
        monkeypatch.setenv(name, value)

    context = main.commands["serve"].make_context("serve", [], resilient_parsing=False)

    given = {
        parameter.envvar
        for parameter in main.commands["serve"].params
        if context.get_parameter_source(str(parameter.name)) is ParameterSource.ENVIRONMENT
    }
    assert (given, len(given) > 5) == ({name for name, _ in lines}, True)
