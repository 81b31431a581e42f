"""What a test does without: skipped on somebody's own machine, but never in CI."""

import os
from typing import NoReturn

import pytest


def do_without(what: str, remedy: str = "") -> NoReturn:
    """Skip the test; in CI, fail. `remedy` tells how to get what is lacking."""
    reason = f"no {what} here; {remedy}" if remedy else f"no {what} here"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


FETCH = "tests/e2e/fetch-tools brings it"
