"""Users and their passwords: HTTP's basic authentication against bcrypt hashes."""

import base64
import binascii
import hmac
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from enum import Enum, auto
from typing import Final

import bcrypt

from exporter.secret import Secret

_REMEMBERED: Final = 1000
"""Wrong passwords whose digest is kept."""

_LONGEST: Final = 72
"""Bytes of a password that bcrypt looks at, in every program; this library wants to be told."""


class Verdict(Enum):
    """What became of a user name and password."""

    RIGHT = auto()
    WRONG = auto()


class Users:
    """Who may come in, and a memory of who did.

    Nobody can tell from the time that an answer takes whether a user exists.
    Safe to use from several threads.
    """

    def __init__(
        self,
        hashes: Mapping[str, Secret],
        check: Callable[[bytes, bytes], bool] = bcrypt.checkpw,
    ) -> None:
        """Let these users in.

        Args:
            hashes: The bcrypt hash of each user's password; there must be one.
            check: Whether a hash was made of a password.
        """
        self._check = check
        self._hashes = {user: secret.reveal() for user, secret in hashes.items()}
        self._cost = max(map(_cost, self._hashes.values()))
        # A digest can't be turned back into a password by who doesn't know this key.
        self._key = secrets.token_bytes(32)
        self._lock = threading.Lock()
        self._right: dict[str, bytes] = {}
        self._wrong: OrderedDict[bytes, None] = OrderedDict()

    def known(self, authorization: str | None) -> bool:
        """Whether `look_at` would answer at once."""
        given = credentials(authorization)
        return given is None or self._remembered(*given) is not None

    def look_at(self, authorization: str | None) -> Verdict:
        """Return what is to be thought of a header `Authorization`; it may take as long as bcrypt does."""
        given = credentials(authorization)
        if given is None:
            return Verdict.WRONG
        return self._remembered(*given) or self._find_out(*given)

    def _find_out(self, user: str, password: bytes) -> Verdict:
        digest = self._digest(user, password)
        right = self._matches(user, password)
        with self._lock:
            if right:
                self._right[user] = digest
                return Verdict.RIGHT
            self._wrong[digest] = None
            if len(self._wrong) > _REMEMBERED:
                self._wrong.popitem(last=False)
            return Verdict.WRONG

    def _matches(self, user: str, password: bytes) -> bool:
        password = password[:_LONGEST]
        hashed = self._hashes.get(user) or _nobody(self._cost)
        if self._check(password, hashed.encode()) and user in self._hashes:
            return True
        # Each cost takes twice the time of the one below. Up from a user's own, they add up to the highest.
        for cost in range(_cost(hashed), self._cost):
            self._check(password, _nobody(cost).encode())
        return False

    def _remembered(self, user: str, password: bytes) -> Verdict | None:
        digest = self._digest(user, password)
        with self._lock:
            if digest == self._right.get(user):
                return Verdict.RIGHT
            if digest in self._wrong:
                self._wrong.move_to_end(digest)
                return Verdict.WRONG
        return None

    def _digest(self, user: str, password: bytes) -> bytes:
        # None of the three holds a control character.
        told = b"\0".join((user.encode(), self._hashes.get(user, "").encode(), password))
        return hmac.digest(self._key, told, "sha256")


def credentials(authorization: str | None) -> tuple[str, bytes] | None:
    """Return the user and the password of a header; None if there is none, or no sense in it.

    >>> credentials("Basic YWxpY2U6c2VjcmV0")
    ('alice', b'secret')
    """
    scheme, _, encoded = (authorization or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(encoded.strip(" "), validate=True).partition(b":")
        name = user.decode()
    except (binascii.Error, ValueError):
        return None
    if not colon or any(byte < 0x20 or byte == 0x7F for byte in user + password):
        return None
    return name, password


def _cost(hashed: str) -> int:
    return int(hashed.split("$")[2])


def _nobody(cost: int) -> str:
    """Return a hash of this cost that no password is known for."""
    return f"$2b${cost:02d}${'.' * 53}"
