"""What keeps a file from being the ledger: told to who serves, and beforehand to who only checks."""

import os
import sqlite3
import stat
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from exporter.tracking.database_error import DatabaseError
from exporter.tracking.set_aside import IN_USE

_MAGIC: Final = b"SQLite format 3\0"
"""What each file of SQLite begins with."""

_PAGE: Final = 4096
"""Bytes: the size of each file that SQLite has written is a multiple of it."""

_LONGEST: Final = 504
"""Bytes of the longest path: SQLite takes 512, and adds -journal. The system takes more."""

_OF_THE_KERNEL: Final = (Path("/proc"), Path("/sys"))
"""Where the file systems are in which nobody can make a file, though root is told that it may write."""

_TABLES: Final = """
    SELECT (SELECT count(*) FROM sqlite_master WHERE name NOT GLOB 'sqlite_*'),
           (SELECT count(*) = 3 FROM pragma_table_info('accounts')
             WHERE name IN ('provider', 'account', 'opened'))
"""
"""Asks how many tables there are, and whether one has what is in the accounts of each version of ours."""

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
    except PermissionError as error:
        return Obstacle(f"{path} can't be reached: {error.strerror}", _LET, here=True)
    except OSError as error:
        return Obstacle(f"{path} can't be reached: {error.strerror}")


def _obstacle(path: Path) -> Obstacle | None:
    mode = _mode(path)
    return (_other(path, mode) if mode else None) or _around(path, there=bool(mode))


def _other(path: Path, mode: int) -> Obstacle | None:
    """Return what is there in the ledger's place."""
    if stat.S_ISDIR(mode):
        return Obstacle(f"{path} is a folder", f"write {path / 'ledger.db'}")
    if not stat.S_ISREG(mode):
        return Obstacle(f"{path} is a socket, a pipe or a device, not a file")
    if _foreign(path):
        return Obstacle(f"{path} is no ledger", "move it away")
    if _of_another_program(path):
        return Obstacle(f"{path} is no ledger, but another program's database of SQLite")
    return None


def _around(path: Path, *, there: bool) -> Obstacle | None:
    """Return what about the path or its folders keeps a file from being made, or written if it is there."""
    failure = f"{path} can't be {'written' if there else 'made'}"
    # SQLite makes a file with this ending, and of a name that is too long for it only tells that it failed.
    _mode(_beside(path, "-journal"))
    if len(os.fsencode(path.resolve())) > _LONGEST:
        return Obstacle(f"{failure}: its path is longer than {_LONGEST} bytes")
    if obstacle := _broken_link(path, failure):
        return obstacle
    # Folders that are lacking would be made.
    folder = next(one for one in path.parents if _mode(one))
    if not stat.S_ISDIR(_mode(folder)):
        return Obstacle(f"{failure}: {folder} is a file, not a folder", "move that away")
    if _is_of_the_kernel(folder):
        return Obstacle(f"{failure}: nobody can keep a file in {folder}")
    # SQLite makes files of its own beside the ledger.
    needed = {folder: os.W_OK | os.X_OK} | ({path: os.R_OK | os.W_OK} if there else {})
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


def _broken_link(path: Path, failure: str) -> Obstacle | None:
    """Return what keeps a file from being made behind a link: only folders before one would be made."""
    for link in (path, *path.parents):
        if link.is_symlink() and not _mode(link):
            target = link.resolve()
            folder = target.parent if link == path else target
            if not stat.S_ISDIR(_mode(folder)):
                return Obstacle(f"{failure}: {link} is a link, and there is no folder {folder}", "make that")
    return None


def _is_of_the_kernel(folder: Path) -> bool:
    # Its name does not tell: /proc/self/cwd leads out of it.
    return any(each.is_mount() and each.stat().st_dev == folder.stat().st_dev for each in _OF_THE_KERNEL)


def _foreign(path: Path) -> bool:
    """Whether a file is somebody else's: it would be a pity to set it aside as a damaged ledger.

    Of a ledger whose beginning is overwritten, what lies beside it tells: SQLite's files while it is in use,
    and for ever after the one by which an exporter claims it, if the size is one that SQLite leaves.
    """
    try:
        with path.open("rb") as file:
            begins = file.read(len(_MAGIC))
        whole_pages = path.stat().st_size % _PAGE == 0
    except OSError:
        # Opening it as a ledger tells better what is wrong.
        return False
    in_use = any(_beside(path, companion).exists() for companion in IN_USE)
    claimed = _beside(path, ".lock").exists()
    return begins not in (b"", _MAGIC) and not in_use and not (whole_pages and claimed)


def _of_another_program(path: Path) -> bool:
    """Whether a file of SQLite has tables, but not the one of a ledger that is made first.

    Not by `schema_version`: others have one, and a ledger that was ended while it was made has none yet.
    """
    file = path.resolve()
    # Tables may be in what lies beside it alone. Without that, SQLite would make files to look into it.
    way = "readonly_shm=1" if all(_beside(file, one).exists() for one in IN_USE) else "immutable=1"
    try:
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro&{way}", uri=True)) as connection:
            ((tables, ours),) = connection.execute(_TABLES)
    except sqlite3.Error:
        # It is damaged, or only the user that serves may read it.
        return False
    return bool(tables) and not ours


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(f"{path.name}{ending}")
