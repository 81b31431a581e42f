"""The command that hands out the dashboards."""

import json
from pathlib import Path

import pytest

from tests.processes import run

FILES = {path.stem: path for path in (Path(__file__).parents[2] / "grafana" / "dashboards").glob("*.json")}


def test_without_a_name_it_lists_every_dashboard_with_the_question_that_it_answers() -> None:
    listed = run("dashboards")

    assert (listed.returncode, listed.stderr) == (0, "")
    assert sorted(line.split(maxsplit=1) for line in listed.stdout.splitlines()) == sorted(
        [name, json.loads(path.read_text())["description"]] for name, path in FILES.items()
    )


@pytest.mark.parametrize("name", sorted(FILES))
def test_given_a_name_then_it_prints_the_file_and_nothing_else(name: str) -> None:
    printed = run("dashboards", name)

    assert (printed.returncode, printed.stderr) == (0, "")
    assert printed.stdout == FILES[name].read_text()


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ([], ["transcoding-overview", "transcoding-task", "transcoding-exporter"]),
        (["transcoding-task"], ["transcoding-task"]),
    ],
    ids=["all", "one"],
)
def test_given_a_folder_then_it_makes_it_and_writes_files_and_tells_their_paths(
    tmp_path: Path, arguments: list[str], names: list[str]
) -> None:
    folder = tmp_path / "new" / "dashboards"

    written = run("dashboards", *arguments, "--directory", str(folder))

    assert (written.returncode, written.stderr) == (0, "")
    assert written.stdout.splitlines() == [f"{folder}/{name}.json" for name in names]
    assert {path.name: path.read_text() for path in folder.iterdir()} == {
        f"{name}.json": FILES[name].read_text() for name in names
    }


def test_given_a_name_of_none_then_it_says_which_there_are_and_writes_nothing(tmp_path: Path) -> None:
    refused = run("dashboards", "overview", "--directory", str(tmp_path / "new"))

    assert (refused.returncode, refused.stdout) == (2, "")
    for name in FILES:
        assert f"'{name}'" in refused.stderr
    assert not (tmp_path / "new").exists()


def test_given_a_folder_that_can_t_be_made_then_it_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    refused = run("dashboards", "--directory", str(tmp_path / "file" / "new"))

    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == f"Error: can't write to {tmp_path}/file/new: Not a directory\n"
