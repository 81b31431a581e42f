"""What the documents show can be done as it stands there: each block is run, read or checked.

A new block needs no test of its own. If it fails here, its message tells what can be done about it.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from exporter.guard.files import Files
from exporter.guard.web_config import load
from exporter.simulator import Life, Simulator
from exporter.tracking.tokens import read_groups
from helm.values import read
from tests import helm_cluster, served
from tests.helm import CHART, KUBERNETES, check, objects
from tests.lacking import do_without
from tests.markdown import ROOT, Block, blocks, documents
from tests.pki import Authority
from tests.processes import ANY_PORT, EXPORTER, environment, free_port, running, wait_until

BLOCKS = [
    block
    for document in documents()
    if "/" not in document or document.startswith(("docs/", "helm/"))
    for block in blocks(document)
]

SHOWN_ONLY = {"text": "what comes out", "promql": "tests/e2e/test_documented_queries.py asks them"}
"""Languages that are not for running, with why."""

NOT_RUN = {
    r"\bmake (test|lint|format|generate)\b": "it would run the test that this is, or change the tree",
    r"\bdocker\b": "tests/e2e/test_compose.py and test_image.py stand for it",
    r"\b(journalctl|systemctl)\b": "there is no systemd; tests/e2e/test_systemd.py stands for it",
    r"\blocalhost:9090\b": "no Prometheus of the reader runs; tests/e2e/test_rules.py has a real one",
    r"\bpsql\b": "there is no PostgreSQL of the reader",
}
"""Commands that are not run, with why; of a block with one of them, nothing is."""

ANYWHERE = re.compile(r"--web\.listen-address :\d+$")
"""Where each of several exporters listens."""

STARTS = re.compile(r"make run|transcoding-exporter (serve|demo)")
"""What starts an exporter; a block without it speaks to one that runs already."""

HERE = "localhost:10477"
"""Where an exporter is, in the documents."""

COPIED = ("Makefile", "setup.cfg", "pyproject.toml", "prometheus", "docs")
"""What the commands of a reader, who has a checkout, can meet in it."""

WEB = "tls_server_config: {cert_file: tls.crt, key_file: tls.key}\n"
"""What readers have in their web.yml."""

CURL = 'curl() { command curl --fail-with-body --retry 15 --retry-delay 1 --retry-connrefused "$@"; }\n'
"""Readers type slowly: by the time they ask it, the exporter that they started listens."""


@dataclass(frozen=True)
class World:
    """What stands for the reader's: both services, an exporter of theirs, and a checkout.

    Attributes:
        simulator: Both services.
        exporter: The address of an exporter that runs all along.
        encrypted: That of one that is asked by TLS.
        folder: The checkout.
    """

    simulator: Simulator
    exporter: str
    encrypted: str
    folder: Path

    def here(self, text: str, address: str) -> str:
        """Replace the places of the documents by those of this world."""
        places = {
            f"-connect {HERE}": f"-connect {self.encrypted}",
            HERE: address,
            "https://api.qencode.com": self.simulator.qencode_url,
            "https://livepeer.studio/api": self.simulator.livepeer_url,
            "https://example.com/tokens": self.simulator.tokens_url,
            "LIVEPEER_API_KEY=…": f"LIVEPEER_API_KEY={self.simulator.livepeer_key}",
        }
        for place, ours in places.items():
            text = text.replace(place, ours)
        return text


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Simulator, str, str]]:
    """Both services, and the addresses of two exporters, for as long as the module runs."""
    folder = tmp_path_factory.mktemp("standing")
    config, web = folder / "config.yml", folder / "web.yml"
    Authority(folder).issue("tls", "localhost")
    web.write_text(WEB)
    with Simulator(seed=1, life=Life()) as simulator:
        tokens = simulator.tokens_url
        served.write(config, served.qencode(simulator, task_tokens_http=tokens), served.livepeer(simulator))
        with (
            served.serving(config, "--web.enable-admin-api", "--web.enable-lifecycle") as standing,
            running([*EXPORTER, "demo", f"--web.config.file={web}", ANY_PORT]) as encrypted,
        ):
            assert standing.scrape().total("transcoding_up") == 2
            address = encrypted.find(r"https://([^/\s]+)").replace("127.0.0.1", "localhost")
            yield simulator, standing.site.removeprefix("http://"), address


@pytest.fixture
def world(services: tuple[Simulator, str, str], tmp_path: Path) -> World:
    """A world whose checkout is new, with the files that a reader has made by then."""
    for name in COPIED:
        copy: Callable[..., Any] = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        copy(ROOT / name, tmp_path / name)
    (tmp_path / ".venv").mkdir()
    for part in ("bin", "lib", "pyvenv.cfg"):
        (tmp_path / ".venv" / part).symlink_to(Path(sys.prefix) / part)
    (tmp_path / "data").mkdir()
    (tmp_path / "livepeer.key").write_text(services[0].livepeer_key)
    (tmp_path / "tokens.json").write_text('[{"targets": ["4bd1ac1ba5cc9e2430f420712bb1e0be"]}]')
    (tmp_path / "config.yml").write_text("livepeer: [{name: studio, api_key_file: livepeer.key}]\n")
    (tmp_path / "helm").symlink_to(ROOT / "helm")
    (tmp_path / "values.yaml").write_text(VALUES)
    Authority(tmp_path).issue("tls", "localhost")
    (tmp_path / "web.yml").write_text(WEB)
    # Newest of all, so that make does not set up a .venv of its own.
    (tmp_path / ".venv" / "installed").touch()
    return World(*services, tmp_path)


def of(*languages: str) -> list[Block]:
    return [block for block in BLOCKS if block.language in languages]


def advise(block: Block, problem: str, remedy: str) -> str:
    """Say what is wrong with a block, and what can be done about it."""
    return f"\n{block}: {problem}.\n{block.text}\nMend it there; or, in {Path(__file__).name}, {remedy}."


# --- Shell -----------------------------------------------------------------------------------------------


SHELL = ("sh", "console")

VALUES_FILE = CHART / "values.yaml"

VALUES = next(block.text for block in BLOCKS if block.file.startswith("helm/") and block.language == "yaml")
"""What the readers of the chart's README have in their values.yaml."""

SHARDED: Mapping[str, Any] = {**yaml.safe_load(VALUES), "sharding": {"replicas": 3}}

IN_A_CLUSTER: Mapping[str, Mapping[str, Any]] = {"docs/scaling.md": {"transcoding": SHARDED}}
"""What is installed when the reader of a document begins, by name; of most nothing."""

LEFT_OVER = {"helm/transcoding-exporter/README.md": ["ledger-transcoding-transcoding-exporter-2"]}
"""Claims of shards that a reader has had, by document."""


def commands(block: Block) -> str:
    """What is typed: of a console, the lines behind a prompt; the others are what comes out."""
    if block.language == "sh":
        return block.text
    return "".join(f"{line[2:]}\n" for line in block.text.splitlines() if line.startswith("$ "))


def reason_not_to_run(block: Block) -> str | None:
    return next((why for pattern, why in NOT_RUN.items() if re.search(pattern, block.text)), None)


@pytest.mark.parametrize("document", dict.fromkeys(block.file for block in of(*SHELL)))
def test_the_commands_of_a_document_work_one_after_the_other(document: str, world: World) -> None:
    helm_cluster.prepare(world.folder, IN_A_CLUSTER.get(document, {}), LEFT_OVER.get(document, ()))
    for block in (block for block in of(*SHELL) if block.file == document):
        if not reason_not_to_run(block):
            run(block, world)


@pytest.mark.parametrize("pattern", NOT_RUN)
def test_what_is_not_run_is_listed_for_a_block_that_nothing_else_keeps_from_it(pattern: str) -> None:
    kept = [[each for each in NOT_RUN if re.search(each, block.text)] for block in of(*SHELL)]

    assert [pattern] in kept, f"nothing needs {pattern} any more: take it off NOT_RUN"


def run(block: Block, world: World) -> None:
    """Run a block to its end or, if it ends with an exporter that serves, until that can be asked.

    If each of its lines starts an exporter that stays, each is typed into a terminal of its own.
    """
    typed = commands(block)
    assert typed, advise(block, "a console without a prompt", "nothing: begin what is typed with `$ `")
    for program in ("curl", "jq", "make", "openssl"):
        if re.search(rf"\b{program} ", typed) and not shutil.which(program):
            do_without(program)
    lines = typed.splitlines()
    several = len(lines) > 1 and all(ANYWHERE.search(line) and STARTS.search(line) for line in lines)
    with ExitStack() as stack:
        terminals = [
            stack.enter_context(terminal(each, world, number))
            for number, each in enumerate(lines if several else [typed])
        ]
        for each in terminals:
            each.wait(block)


@dataclass(frozen=True)
class Terminal:
    """A shell that runs, and where the exporter will be that it starts, if it starts one that stays."""

    shell: subprocess.Popen[bytes]
    output: Path
    starts_at: str | None

    def wait(self, block: Block) -> None:
        """Wait for its end or, if it doesn't end, until the exporter can be asked."""
        served = self.starts_at
        wait_until(
            lambda: self.shell.poll() is not None or (served and is_healthy(served)),
            30,
            f"the end of {block}",
        )
        problem = f"exit status {self.shell.returncode}, and\n{self.output.read_text(errors='replace')}"
        remedy = "give NOT_RUN a pattern and a reason, or `World.here` a place to replace"
        assert self.shell.poll() in ((None,) if served else (0,)), advise(block, problem, remedy)


@contextmanager
def terminal(typed: str, world: World, number: int) -> Iterator[Terminal]:
    """Type something into a shell, of which nothing is left afterwards."""
    starts = bool(STARTS.search(typed))
    address = f"127.0.0.1:{free_port()}" if starts else world.exporter
    script, output = world.folder / f"script-{number}", world.folder / f"output-{number}"
    here = ANYWHERE.sub(f"--web.listen-address {address}", world.here(typed, address))
    script.write_text(f"set -euo pipefail\n{CURL}{here}")
    with output.open("wb") as out:
        shell = subprocess.Popen(
            ["bash", script.name],
            cwd=world.folder,
            env=variables(typed, world, address),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        in_background = re.search(r"&$", typed, re.MULTILINE)
        yield Terminal(shell, output, address if starts and not in_background else None)
    finally:
        # The whole group: an exporter in the background outlives its shell.
        with suppress(ProcessLookupError):
            os.killpg(shell.pid, signal.SIGKILL)
        shell.wait()


def variables(typed: str, world: World, address: str) -> Mapping[str, str]:
    """The reader's environment: what a block refers to is set, and nothing else that would change it."""
    known = {"LIVEPEER_API_KEY": world.simulator.livepeer_key, "QENCODE_TASK_TOKEN": "4bd1ac1ba5cc9e2430f4"}
    return environment(
        PATH=os.pathsep.join(
            [str(world.folder / "bin"), str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]
        ),
        TRANSCODING_EXPORTER_WEB_LISTEN_ADDRESS=address,
        TRANSCODING_EXPORTER_URL=f"http://{address}",
        # Whatever a configuration names, nobody outside is asked.
        HTTPS_PROXY="http://127.0.0.1:9",
        NO_PROXY="127.0.0.1,localhost",
        **{name: value for name, value in known.items() if f"${name}" in typed},
    )


def is_healthy(address: str) -> bool:
    try:
        return requests.get(f"http://{address}/-/healthy", timeout=5).ok
    except requests.ConnectionError:
        return False


# --- Files -----------------------------------------------------------------------------------------------

FILES = ("yaml", "json")

Check = Callable[[Block, World], None]


def check_config(block: Block, world: World) -> None:
    """Let the exporter check it."""
    (world.folder / "config.yml").write_text(block.text)
    done = subprocess.run(
        [".venv/bin/transcoding-exporter", "check-config", "config.yml"],
        cwd=world.folder,
        env=environment(LIVEPEER_API_KEY="key"),
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert done.returncode == 0, advise(block, done.stderr, "add the files that it names to `world`")


def promtool(*arguments: str) -> Check:
    """Let promtool check it."""

    def check(block: Block, world: World) -> None:
        path = f"{ROOT}/.tools/usr/bin{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        program = shutil.which("promtool", path=path) or do_without("promtool")
        file = world.folder / "prometheus" / "block.yml"
        file.write_text(block.text)
        done = subprocess.run([program, *arguments, file], capture_output=True, text=True, timeout=20)
        assert done.returncode == 0, advise(block, done.stdout + done.stderr, "give it a kind of its own")

    return check


def check_web_config(block: Block, world: World) -> None:
    file = world.folder / "web.yml"
    file.write_text(block.text)
    load(file, Files())


def check_values(block: Block, world: World) -> None:
    """Let the chart take it."""
    assert objects(yaml.safe_load(block.text))


def check_object(block: Block, world: World) -> None:
    """Let its own schema judge it."""
    check(yaml.safe_load(block.text), KUBERNETES[-1])


def check_tokens(block: Block, world: World) -> None:
    assert read_groups(yaml.safe_load(block.text))


def checked_elsewhere(block: Block, world: World) -> None:
    """Nothing: tests/e2e/test_rules.py holds it against the alert that really comes."""


KINDS: Mapping[str, tuple[set[str], Check]] = {
    "a configuration": ({"poll", "metrics", "storage", "qencode", "livepeer"}, check_config),
    "a web configuration": (
        {"tls_server_config", "http_server_config", "basic_auth_users", "rate_limit"},
        check_web_config,
    ),
    "a configuration of Prometheus": (
        {"global", "rule_files", "scrape_configs", "alerting", "remote_write"},
        promtool("check", "config"),
    ),
    "rules": ({"groups"}, promtool("check", "rules")),
    "an alert": ({"alert", "labels", "annotations"}, checked_elsewhere),
    "tokens": ({"targets", "labels"}, check_tokens),
    "an object of Kubernetes": ({"apiVersion", "kind", "metadata", "spec"}, check_object),
    "values of the chart": ({value.path[0] for value in read(VALUES_FILE.read_text())}, check_values),
}
"""What a block of YAML can be: the keys of its top level, or of the items there, and its check."""


@pytest.mark.parametrize("block", of(*FILES), ids=str)
def test_a_file_is_accepted_by_what_it_is_for(block: Block, world: World) -> None:
    content = json.loads(block.text) if block.language == "json" else yaml.safe_load(block.text)
    first = content[0] if isinstance(content, list) else content
    for keys, accept in KINDS.values():
        if set(first) <= keys:
            accept(block, world)
            return
    assert block.language == "json", advise(block, f"not {', '.join(KINDS)}", "add what it is to KINDS")


# --- Programs --------------------------------------------------------------------------------------------


def test_of_jobs_that_are_given_at_once_the_example_keeps_each_one_time(tmp_path: Path) -> None:
    program, file = ROOT / "docs" / "examples" / "watch_token.py", tmp_path / "tokens.json"
    given = [*(f"token{number}" for number in range(8)), "token0"]

    started = [
        subprocess.Popen([sys.executable, program, file, token, f"customer=of-{token}"]) for token in given
    ]

    assert [process.wait(20) for process in started] == [0] * 9
    groups = json.loads(file.read_text())
    assert len(groups) == 8
    assert read_groups(groups) == {f"token{number}": {"customer": f"of-token{number}"} for number in range(8)}


# --- All -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_every_block_has_a_language_that_says_what_to_do_with_it(block: Block) -> None:
    known = {*SHELL, *SHOWN_ONLY, *FILES}

    assert block.language in known, advise(
        block,
        f"the language is {block.language!r}, none of {', '.join(sorted(known))}",
        "write a test of it, or add it to SHOWN_ONLY with the reason",
    )
