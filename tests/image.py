"""The image without Docker: its instructions, what they are given, and its first stage, carried out."""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

import pytest
from dockerfile_parse import DockerfileParser

ROOT = Path(__file__).parents[1]
DOCKERFILE = ROOT / "Dockerfile"

_IGNORED = [
    line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")
]

_OURS: Final = ("/src", "/wheels", "/opt")
"""The folders that the first stage makes."""

Instruction = tuple[str, str]


def instructions() -> list[Instruction]:
    """The instructions with their values, in order."""
    parser = DockerfileParser(str(DOCKERFILE))
    return [(step["instruction"], step["value"]) for step in parser.structure]


def stages() -> list[list[Instruction]]:
    """The instructions of each stage, each beginning with its FROM."""
    steps = instructions()
    begins = [place for place, (name, _) in enumerate(steps) if name == "FROM"]
    return [steps[begin:end] for begin, end in zip(begins, [*begins[1:], len(steps)], strict=True)]


def copied(steps: Sequence[Instruction]) -> Iterator[tuple[str, str]]:
    """What is copied from here: source and destination."""
    for name, value in steps:
        if name == "COPY" and not value.startswith("--from"):
            *sources, destination = value.split()
            for source in sources:
                yield source, source if destination == "./" else destination


def let_through(path: Path) -> bool:
    """Whether Docker is sent a file; the last pattern that fits it, or a folder that it is in, decides."""
    sent = True
    for pattern in _IGNORED:
        bare = pattern.removeprefix("!")
        depth = bare.count("/") + 1
        above = "/".join(path.parts[:depth])
        anywhere = bare.startswith("**/") and bare.removeprefix("**/") in path.parts
        if anywhere or fnmatchcase(above, bare):
            sent = pattern.startswith("!")
    return sent


def build(folder: Path) -> Path:
    """Carry out the first stage below a folder, with a Python of its own; return that Python."""
    python = folder / "python"
    _run([sys.executable, "-m", "venv", str(python)], folder)
    variables = {"PATH": f"{python / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    for name, value in stages()[0]:
        if name == "ARG":
            variables |= dict([value.split("=")])
        elif name == "COPY":
            _copy([(name, value)], folder / "src")
        elif name == "RUN":
            _run(["sh", "-euc", _below(folder, value)], folder / "src", **variables)
    return python / "bin" / "python"


def _copy(step: Sequence[Instruction], destination: Path) -> None:
    def left_out(folder: str, names: list[str]) -> set[str]:
        inside = Path(folder).relative_to(ROOT)
        return {name for name in names if not let_through(inside / name)}

    for source, name in copied(step):
        assert let_through(Path(source)), f"{source} is not sent to Docker"
        place = destination / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, place, symlinks=True, ignore=left_out)
        else:
            shutil.copy(ROOT / source, place)


def _below(folder: Path, command: str) -> str:
    """The command, with the folders of the image below another."""
    words = command.split(" ")
    return " ".join(f"{shlex.quote(str(folder))}{word}" if word.startswith(_OURS) else word for word in words)


def plain(**variables: str) -> dict[str, str]:
    """The environment without what Python is told by it, and with the given variables."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")} | variables


def _run(command: Sequence[str], cwd: Path, **variables: str) -> None:
    done = subprocess.run(
        command, cwd=cwd, env=plain(**variables), capture_output=True, text=True, timeout=300
    )
    if "No matching distribution found" in done.stderr and os.environ.get("CI") != "true":
        pytest.skip("no package index here")
    assert done.returncode == 0, f"{command}:\n{done.stdout}{done.stderr}"
