"""Files that are read again when they change."""

import errno
import stat
from pathlib import Path
from typing import Final

_MOST: Final = 1024 * 1024
"""Bytes of a file; nothing that is read here needs that many."""

_Fingerprint = tuple[int, ...]


class Files:
    """The files that one reading looked at, and how they stood just before it."""

    def __init__(self) -> None:
        self._seen: dict[Path, _Fingerprint | None] = {}

    def read(self, path: Path) -> bytes:
        """Return what a file holds.

        Raises:
            OSError: it can't be read, is no file, or is too large.
        """
        self._seen.setdefault(path, _fingerprint(path))
        # A pipe would block who reads it, and a device has no end.
        if not stat.S_ISREG(path.stat().st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        with path.open("rb") as file:
            data = file.read(_MOST + 1)
        if len(data) > _MOST:
            raise OSError(errno.EFBIG, "larger than 1 MiB")
        return data

    def changed(self) -> bool:
        """Whether any of the files is another one than when it was read, has other content, came or went."""
        return any(_fingerprint(path) != before for path, before in self._seen.items())


def _fingerprint(path: Path) -> _Fingerprint | None:
    # Links are followed: Kubernetes changes a whole folder by the swap of one link, `..data`.
    try:
        now = path.stat()
    except OSError:
        return None
    # With the time of the inode's own change: a copy can bring along the time of the old content.
    return now.st_mtime_ns, now.st_ctime_ns, now.st_size, now.st_ino, now.st_dev
