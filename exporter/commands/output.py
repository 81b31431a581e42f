"""How the program ends when what it writes can't be written: quietly, or in one line."""

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from typing import Any, Final

import click

UNREAD: Final = 141
"""As shells have it for a program that SIGPIPE ended: nobody reads on, as in `… | head`."""

_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})


class Program(click.Group):
    """All commands; whichever writes, `--help` too, ends well if nobody reads on or there is no room."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run, and end; why it failed is written here."""
        with _written():
            return super().main(*args, **kwargs)

    # Within `main`, click takes a reader who has gone for a failure: it has to be heeded before.

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Read the arguments; `--help` writes here."""
        with _written():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        with _written():
            return super().invoke(ctx)


@contextlib.contextmanager
def _written() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno == errno.EPIPE:
            _discard()
            sys.exit(UNREAD)
        if error.errno not in _NO_ROOM:
            raise
        # It may be standard error that is full.
        with contextlib.suppress(OSError):
            click.echo(f"Error: can't write: {error.strerror}", err=True)
        _discard()
        sys.exit(1)


def _discard() -> None:
    """Send to nowhere what is still in the buffers: Python writes them at its end, and would complain."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in filter(None, (sys.stdout, sys.stderr)):
        os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
