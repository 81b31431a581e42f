"""What keeps a file from being the ledger: told to who serves, and beforehand to who only checks."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from exporter.tracking.database_error import DatabaseError

_MAGIC: Final = b"SQLite format 3\0"
"""What each file of SQLite begins with."""

_PAGE: Final = 4096
"""Bytes: the size of each file that SQLite has written is a multiple of it."""

_OF_THE_KERNEL: Final = (Path("/proc"), Path("/sys"))
"""Where the file systems are in which nobody can make a file, though root is told that it may write."""

_LET: Final = "let the user that serves write there"


@dataclass(frozen=True, slots=True)
class Obstacle:
    """What keeps the ledger from being where it is to be.

    Attributes:
        problem: What is wrong.
        remedy: How to mend it in place; "" if only another place will do.
        here: Whether it may be otherwise for another user, or on another machine.
    """

    problem: str
    remedy: str = ""
    here: bool = False

    @property
    def advice(self) -> str:
        """Everything that can be done."""
        return f"{self.remedy}, or name another file" if self.remedy else "name another file"


class UnusableError(DatabaseError):
    """The ledger can't be where it is to be.

    Attributes:
        obstacle: Why.
    """

    def __init__(self, obstacle: Obstacle) -> None:
        super().__init__(f"{obstacle.problem}; {obstacle.advice}")
        self.obstacle = obstacle


def obstacle_in(path: Path) -> Obstacle | None:
    """Return what keeps a file, be it there or not, from being the ledger; None if nothing is seen to.

    Nothing is changed to find out. What only an attempt can tell, as a full disk, is not seen.
    """
    try:
        return _obstacle(path)
    except OSError as error:
        return Obstacle(f"{path} can't be reached: {error.strerror}", _LET, here=True)


def _obstacle(path: Path) -> Obstacle | None:
    mode = _mode(path)
    if stat.S_ISDIR(mode):
        return Obstacle(f"{path} is a folder", f"write {path / 'ledger.db'}")
    if _foreign(path):
        return Obstacle(f"{path} is no ledger", "move it away")
    # Folders that are lacking would be made.
    folder = next(one for one in path.parents if _mode(one))
    failure = f"{path} can't be {'written' if mode else 'made'}"
    if not stat.S_ISDIR(_mode(folder)):
        return Obstacle(f"{failure}: {folder} is a file, not a folder", "move that away")
    if _is_of_the_kernel(folder):
        return Obstacle(f"{failure}: nobody can keep a file in {folder}")
    # SQLite makes files of its own beside the ledger.
    needed = {folder: os.W_OK | os.X_OK} | ({path: os.R_OK | os.W_OK} if mode else {})
    for place, rights in needed.items():
        if not os.access(place, rights):
            return Obstacle(f"{failure}: {place.absolute()} is not writable for this user", _LET, here=True)
    return None


def _mode(path: Path) -> int:
    """Return the mode of what is there, 0 if nothing is; raises OSError if that can't be told."""
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return 0


def _is_of_the_kernel(folder: Path) -> bool:
    # Its name does not tell: /proc/self/cwd leads out of it.
    return any(each.is_mount() and each.stat().st_dev == folder.stat().st_dev for each in _OF_THE_KERNEL)


def _foreign(path: Path) -> bool:
    """Whether a file is somebody else's: it would be a pity to set it aside as a damaged ledger.

    Of a ledger whose beginning is overwritten, its size still tells, or what SQLite keeps beside it.
    """
    try:
        # Not of a pipe, which would keep us waiting.
        if not path.is_file():
            return False
        with path.open("rb") as file:
            begins = file.read(len(_MAGIC))
        whole_pages = path.stat().st_size % _PAGE == 0
    except OSError:
        # Opening it as a ledger tells better what is wrong.
        return False
    beside = any(path.with_name(path.name + companion).exists() for companion in ("-wal", "-shm"))
    return begins not in (b"", _MAGIC) and not whole_pages and not beside
