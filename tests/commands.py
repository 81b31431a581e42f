"""The commands, called in this process: as real as in one of their own, but there at once."""

import os
import signal
from typing import NamedTuple

import structlog
from click.testing import CliRunner

from exporter.cli import main
from tests.processes import environment


class Called(NamedTuple):
    """How a command ended, and what it wrote."""

    status: int
    stdout: str
    stderr: str


def call(*arguments: str, **variables: str) -> Called:
    """Call the exporter as in a pipe."""
    before, logs = signal.getsignal(signal.SIGTERM), structlog.get_config()
    # What would configure the exporter is taken out.
    changed = dict.fromkeys(os.environ.keys() - environment().keys()) | variables
    try:
        result = CliRunner().invoke(
            main, arguments, prog_name="transcoding-exporter", env=changed, catch_exceptions=False
        )
    finally:
        signal.signal(signal.SIGTERM, before)
        # Left as the command set them up, they would not tell the next tests what is of less importance.
        structlog.configure(**logs)
    return Called(result.exit_code, result.stdout, result.stderr)
