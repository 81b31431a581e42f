"""The container's image: what can be told of it without building it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import exporter
from tests.image import DOCKERFILE, ROOT, copied, instructions, let_through, stages
from tests.lacking import do_without
from tests.processes import exporting, free_port


@pytest.fixture
def last_stage() -> dict[str, str]:
    """The instructions of the image itself; the last one of a kind counts."""
    return dict(stages()[-1])


def test_the_linter_is_content() -> None:
    linter = Path(sys.executable).with_name("hadolint")
    if not linter.exists():
        do_without("hadolint")

    done = subprocess.run([linter, "--no-color", DOCKERFILE], capture_output=True, text=True, timeout=30)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_it_is_built_on_one_slim_python_and_runs_without_root(last_stage: dict[str, str]) -> None:
    bases = [value.split()[0] for name, value in instructions() if name == "FROM"]

    assert re.fullmatch(r"python:3\.\d+-slim-[a-z]+", bases[0])
    assert bases == [bases[0]] * 2
    assert last_stage["USER"] == "65532:65532"


def test_its_python_is_one_that_we_support_and_its_labels_say_which_image_it_is_of() -> None:
    bases = {value.split()[0] for name, value in instructions() if name == "FROM"}
    (version,) = {base.removeprefix("python:").partition("-slim-")[0] for base in bases}
    (labels,) = (value for name, value in instructions() if name == "LABEL")

    assert f"Programming Language :: Python :: {version}\n" in (ROOT / "setup.cfg").read_text()
    assert f'org.opencontainers.image.base.name="docker.io/library/{bases.pop()}"' in labels


def test_its_version_is_ours_and_its_labels_say_so() -> None:
    (labels,) = (value for name, value in instructions() if name == "LABEL")

    assert ("ARG", f"VERSION={exporter.__version__}") in instructions()
    assert 'org.opencontainers.image.version="${VERSION}"' in labels
    assert 'org.opencontainers.image.revision="${REVISION}"' in labels
    assert 'org.opencontainers.image.licenses="Apache-2.0"' in labels


def test_its_ledger_is_on_a_volume_of_its_user(last_stage: dict[str, str]) -> None:
    assert (last_stage["VOLUME"], last_stage["WORKDIR"]) == ("/data", "/"), "sqlite:///data/ledger.db"
    assert last_stage["RUN"] == "install --directory --owner 65532 --group 65532 --mode 0750 /data"


def test_it_serves_where_compose_publishes_it(last_stage: dict[str, str]) -> None:
    assert last_stage["EXPOSE"] == "10477"
    assert json.loads(last_stage["ENTRYPOINT"]) == ["transcoding-exporter"]
    assert json.loads(last_stage["CMD"]) == ["serve"]


def test_its_health_is_that_of_what_serves(last_stage: dict[str, str]) -> None:
    def healthy(port: int) -> bool:
        program, *arguments = json.loads(last_stage["HEALTHCHECK"].partition(" CMD ")[2])
        assert program == "python"
        there = [argument.replace("10477", str(port)) for argument in arguments]
        environment = os.environ | {"http_proxy": "http://127.0.0.1:1"}
        return not subprocess.run(
            [sys.executable, *there], env=environment, capture_output=True, timeout=20
        ).returncode

    with exporting("demo") as (_, url):
        assert healthy(int(url.split(":")[2].partition("/")[0]))
    assert not healthy(free_port())


def test_docker_is_not_sent_more_than_that() -> None:
    def below_what_is_copied(path: str) -> bool:
        return any(path == source or path.startswith(f"{source}/") for source, _ in copied(instructions()))

    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    sent = [path for path in tracked.splitlines() if let_through(Path(path))]

    assert "exporter/cli.py" in sent
    assert [path for path in sent if not below_what_is_copied(path)] == []
    assert not let_through(Path("exporter/__pycache__/cli.cpython-311.pyc"))
    assert not let_through(Path(".tools/usr/bin/prometheus"))
    assert not let_through(Path("livepeer.key"))
