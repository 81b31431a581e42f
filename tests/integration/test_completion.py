import os
import subprocess

import pytest

from tests.processes import EXPORTER, environment, run


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["transcoding-exporter", "ta"], ["tasks"]),
        (
            ["transcoding-exporter", "tasks", "--state", ""],
            ["queued", "running", "completed", "failed", "cancelled", "unknown"],
        ),
        (["transcoding-exporter", "tasks", "--format", "j"], ["json"]),
        (["transcoding-exporter", "wait", "--ap"], ["--appear"]),
        (["transcoding-exporter", "completion", ""], ["bash", "zsh", "fish"]),
    ],
)
def test_given_bash_when_tab_is_pressed_then_it_completes(words: list[str], offered: list[str]) -> None:
    script = """
        eval "$(transcoding-exporter completion bash)"
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        _transcoding_exporter_completion transcoding-exporter
        printf '%s\\n' "${COMPREPLY[@]}"
    """
    folder = os.path.dirname(EXPORTER[0])  # noqa: PTH120 - as PATH has it
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"

    result = subprocess.run(
        ["bash", "--norc", "-c", script, "bash", *words],
        capture_output=True,
        text=True,
        timeout=20,
        env=environment(PATH=path),
    )

    assert (result.stdout.split(), result.stderr) == (offered, "")


@pytest.mark.parametrize(
    ("shell", "words"),
    [
        ("bash", "complete -o nosort"),
        ("zsh", "#compdef transcoding-exporter"),
        ("fish", "complete --no-files"),
    ],
)
def test_when_completion_is_asked_for_then_the_shells_script_is_printed(shell: str, words: str) -> None:
    result = run("completion", shell)

    assert result.returncode == 0
    assert words in result.stdout
    assert "_TRANSCODING_EXPORTER_COMPLETE" in result.stdout
