"""A ledger in a database that may fail.

While it does, knowledge goes on in memory, and what could not be written waits for the next success. It waits
by task and by counter, so that it can't outgrow the knowledge itself.
"""

import threading
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from math import isfinite
from typing import Final

import structlog

from exporter.model import Account, Clock, Provider
from exporter.tracking.bounds import bounds_rows, fitting
from exporter.tracking.database import Batch, Database, StoredAccount
from exporter.tracking.database_error import DamagedError, DatabaseError, FullError
from exporter.tracking.handover import first_share, hand_over, held
from exporter.tracking.knowledge import Change, Knowledge
from exporter.tracking.ledger import GivenToken, Terms
from exporter.tracking.packing import PackedTask
from exporter.tracking.set_aside import suffix
from exporter.tracking.tally import Count

RETRY_INTERVAL: Final = 10.0
"""Seconds between two attempts to write to a database that fails."""

REFUSE_INTERVAL: Final = 1.0
"""Seconds for which tokens are refused after one could not be written: each may have to wait for a lock."""

_log = structlog.get_logger()


class DatabaseLedger:
    """Remembers in a database. Safe for several threads."""

    def __init__(self, database: Database, clock: Clock, degraded: Callable[[bool], None]) -> None:
        """Open the database; `degraded` is told whether what is new is in memory only.

        Raises:
            DatabaseError: it can't be reached, or was written by a newer version. A full disk and a damaged
                file are no reason not to start.
        """
        self._database = database
        self._clock = clock
        self._tell = degraded
        self._lock = threading.Lock()
        self._known: dict[Account, Knowledge] = {}
        self._shares: dict[Account, str] = {}
        self._dropped: dict[Account, Collection[str]] = {}
        self._waiting: dict[Account, Batch] = {}
        self._written: dict[Account, tuple[float | None, str | None, float | None]] = {}
        self._opened = False
        # Whether the file lacks what is known: it is another than what was known came from or was written to.
        self._owed = False
        self._given: dict[Account, dict[str, GivenToken]] = {}
        self._bounds: Mapping[Count, float] = {}
        self._retry_at = float("-inf")
        self._refuse_until = float("-inf")
        self._failing = False
        try:
            self._open()
            degraded(False)
        except FullError as error:
            self._fail(error)

    def recall(self, account: Account, terms: Terms) -> Knowledge:
        """Return what is remembered of an account; a new one is first watched now. Raises `DatabaseError`."""
        with self._lock:
            if known := self._known.get(account):
                # It was watched before: what is known is ahead of what is stored while the database fails.
                known.retention = terms.retention
                return known
        stored = self._load(account)
        now, share = self._clock.steady(), terms.share(account)
        counts, mended = fitting(stored.counts if stored else {}, terms.buckets)
        former, adopted = (stored.share, stored.adopted) if stored else (first_share(share), None)
        handover = hand_over(share, former, adopted, now)
        tasks = stored.tasks if stored else {}
        kept = held(tasks, share) if handover.moved else tasks
        knowledge = Knowledge(
            account,
            _opened(account, stored, now),
            retention=terms.retention,
            buckets=terms.buckets,
            position=stored.position if stored and not handover.anew else None,
            tasks=kept,
            counts=counts,
            now=now,
            adoption=handover.adoption,
        )
        with self._lock:
            self._known[account] = knowledge
            self._shares[account] = str(share)
            self._dropped[account] = tasks.keys() - kept.keys()
            self._bounds = bounds_rows(terms.buckets)
            if stored is None or mended:
                # Not the new share yet: if this process ends before its first answer, the next one adopts.
                self._waiting[account] = Batch(
                    account,
                    knowledge.opened,
                    stored.position if stored else None,
                    counts={**mended, **self._bounds},
                    share=str(former),
                    adopted=adopted,
                )
                self._flush()
        return knowledge

    def leave(self, account: Account) -> None:
        """Forget the tasks of an account that now belongs to another shard. Raises `DatabaseError`."""
        stored = self._load(account)
        if stored is None or stored.share.shard is None:
            return
        with self._lock:
            gone: dict[str, PackedTask | None] = dict.fromkeys(stored.tasks)
            self._waiting[account] = Batch(account, stored.opened, tasks=gone, share="")
            self._flush()

    def commit(self, change: Change) -> None:
        """Write a change, and what waits; if the database fails, it waits on."""
        with self._lock:
            if self._says_nothing_new(change):
                return
            batch = self._waiting.setdefault(change.account, Batch(change.account, change.opened))
            batch.position = change.position
            batch.share, batch.adopted = self._standing(change.account)
            batch.tasks.update(dict.fromkeys(self._dropped.pop(change.account, ())))
            batch.tasks.update(change.packed)
            batch.tasks.update(dict.fromkeys(change.gone))
            batch.counts.update(change.counts)
            self._flush()

    def tokens(self, account: Account) -> Mapping[str, GivenToken]:
        """Return the tokens that were given. Raises `DatabaseError`."""
        with self._lock:
            if account not in self._given:
                self._given[account] = self._stored_tokens(account)
            return dict(self._given[account])

    def give(self, account: Account, token: str, given: GivenToken) -> None:
        """Remember a token, or its new labels. Raises `DatabaseError`."""
        with self._lock:
            self._at_once(lambda: self._database.write_token(account, token, given))
            self._given.setdefault(account, {})[token] = given

    def take(self, account: Account, token: str) -> None:
        """Forget a token. Raises `DatabaseError`."""
        with self._lock:
            self._at_once(lambda: self._database.delete_token(account, token))
            self._given.get(account, {}).pop(token, None)

    def _says_nothing_new(self, change: Change) -> bool:
        """Whether a change is written already, with all that goes with it: most polls bring no news."""
        account = change.account
        return (
            change.empty
            and not self._waiting
            and not self._owed
            and not self._dropped.get(account)
            and self._written.get(account) == (change.position, *self._standing(account))
            and self._database.in_place()
        )

    def _standing(self, account: Account) -> tuple[str, float | None]:
        """Return what is watched of an account, as text, and when tasks were last adopted."""
        before = self._known[account].adoption.before
        return self._shares[account], before if isfinite(before) else None

    def _stored_tokens(self, account: Account) -> dict[str, GivenToken]:
        if self._owed:
            return {}
        if not self._opened:
            return dict(self._database.tokens_read_only(account))
        try:
            return dict(self._database.tokens(account))
        except DamagedError as error:
            self._set_aside(error)
            self._flush()
            return {}

    def _at_once(self, write: Callable[[], None]) -> None:
        """Write what somebody waits for, so at once or not at all."""
        if self._clock.monotonic() < self._refuse_until:
            raise DatabaseError("the database failed a moment ago")
        self._look_for_file()
        if self._owed or not self._opened:
            self._flush()
        if self._owed:
            # A token alone in a new file would be all that the next start knows.
            raise DatabaseError("the ledger could not be written anew yet")
        try:
            write()
        except DatabaseError as error:
            self._refuse_until = self._clock.monotonic() + REFUSE_INTERVAL
            self._fail(error)
            raise

    def close(self) -> None:
        """Write what waits, and close the connections."""
        with self._lock:
            self._retry_at = float("-inf")
            if self._waiting or self._owed:
                self._flush()
            self._database.close()

    def _open(self) -> None:
        try:
            self._database.open()
        except DamagedError as error:
            self._set_aside(error)
            self._database.open()
        self._opened = True

    def _load(self, account: Account) -> StoredAccount | None:
        with self._lock:
            if self._owed:
                self._flush()
            if self._owed:
                # What was stored is gone or set aside, and there may be no tables yet.
                return None
        if not self._opened:
            return self._database.load_read_only(account)
        try:
            return self._database.load(account)
        except DamagedError as error:
            with self._lock:
                self._set_aside(error)
                # Not later: accounts that were recalled before are in the new file or nowhere.
                self._flush()
            return None

    def _flush(self) -> None:
        """Write what waits, unless the database failed a moment ago."""
        if self._clock.monotonic() < self._retry_at:
            return
        try:
            if not self._opened:
                self._open()
            self._look_for_file()
            try:
                self._write()
            except DamagedError as error:
                self._set_aside(error)
                self._write()
        except DatabaseError as error:
            self._fail(error)
            return
        for account, batch in self._waiting.items():
            self._written[account] = (batch.position, batch.share, batch.adopted)
        self._waiting.clear()
        if self._failing:
            self._failing = False
            _log.warning("ledger works again, nothing is lost")
        self._tell(False)

    def _write(self) -> None:
        """Write what waits; if the file lacks what is known, all of that with it, in one transaction."""
        whole: list[Batch] = []
        if self._owed:
            self._database.close()
            self._database.open()
            whole = [self._whole(knowledge) for knowledge in self._known.values()]
        self._database.write([*whole, *self._waiting.values()])
        self._owed = False

    def _look_for_file(self) -> None:
        """Find out whether the file was deleted or replaced."""
        if self._opened and not self._owed and not self._database.in_place():
            self._owed = True
            _log.error("ledger's file is gone, it is written anew")

    def _whole(self, knowledge: Knowledge) -> Batch:
        tasks, counts = knowledge.dump()
        return Batch(
            knowledge.account,
            knowledge.opened,
            knowledge.position,
            dict(tasks),
            {**counts, **self._bounds},
            self._given.get(knowledge.account, {}),
            *self._standing(knowledge.account),
        )

    def _fail(self, error: DatabaseError) -> None:
        self._retry_at = self._clock.monotonic() + RETRY_INTERVAL
        if not self._failing:
            self._failing = True
            _log.error("ledger failed, what is new is kept in memory only", error=str(error))
        self._tell(True)

    def _set_aside(self, error: DamagedError) -> None:
        """Keep a damaged file under another name: somebody may want to look into it."""
        # Even if renaming fails half-way; a database that is no file stays, with all that is in it.
        self._owed = self._database.path is not None
        kept = self._database.set_aside(suffix(datetime.fromtimestamp(self._clock.time(), UTC)))
        _log.error("ledger is damaged, it is set aside and a new one begun", error=str(error), kept=str(kept))


def _opened(account: Account, stored: StoredAccount | None, now: float) -> float:
    """Return when an account was first watched.

    Qencode tells no times, so what has ended by its first answer is history: before it, nothing was watched.
    And the machine's clock may have been set back since. If the account has been read, the past is known, and
    what is new is news; else the past begins now.
    """
    read = stored is not None and (bool(stored.tasks) or stored.position is not None)
    if stored is None or (account.provider is Provider.QENCODE and not read):
        return now
    if stored.opened <= now:
        return stored.opened
    return 0.0 if read else now
