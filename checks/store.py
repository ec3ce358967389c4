"""The campaign's memory: one SQLite file of measured parts, so that ``--resume`` goes on.

One process writes.  A part is inserted whole, in a transaction of its own, under a key that
names everything its bits depend on; a second insertion of the same key is ignored.  So
whatever interrupts a campaign, nothing that was finished is lost and nothing counts twice.
"""

from __future__ import annotations

import hashlib
import sqlite3
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from checks.parts import Measured, Part

NAME = "campaign.sqlite"
_APPLICATION = 0x6D676E66  # "mgnf": the header says whose file it is
_SCHEMA = 1
_MACHINE = {
    sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PERM, sqlite3.SQLITE_NOMEM,
}  # fmt: skip
_TABLE = """
create table part (
    key text primary key, claim text not null, kind text not null, of text not null,
    shape text not null, first integer not null, count integer not null,
    profile text not null, seed integer not null, device text not null, source text not null,
    settings text not null, seconds real not null, tally blob not null, digest blob not null
)
"""


class StoreDamaged(Exception):
    """The store cannot be believed; one line that says what is wrong and what to do."""


class StoreFailed(Exception):
    """The store cannot be written: a full disk, or another process; one line."""


class Store:
    """Parts measured in this and earlier runs of one output directory."""

    def __init__(self, directory: Path, fresh: bool) -> None:
        """fresh: forget what is there.  Raises StoreDamaged, StoreFailed."""
        self.path = directory / NAME
        try:
            if fresh:
                for suffix in ("", "-wal", "-shm", "-journal"):
                    Path(f"{self.path}{suffix}").unlink(missing_ok=True)
            # No implicit transactions: every statement below is one of its own.
            self._db = sqlite3.connect(self.path, timeout=1.0, isolation_level=None)
        except (OSError, sqlite3.Error) as error:
            raise StoreFailed(f"cannot open {self.path}: {error}") from error
        try:
            self._prepare()
        except BaseException:
            self._db.close()
            raise

    def _prepare(self) -> None:
        try:
            # One writer: a second process is told, and a first that was killed holds nothing.
            self._db.execute("pragma locking_mode = exclusive")
            if self._tables():
                self._identify()  # before the first write: the file may be another program's
            self._db.execute("pragma journal_mode = wal")
            self._db.execute("begin exclusive")
            if not self._tables():
                self._db.execute(f"pragma application_id = {_APPLICATION}")
                self._db.execute(f"pragma user_version = {_SCHEMA}")
                self._db.execute(_TABLE)
            self._db.execute("commit")
            self._inspect()
        except sqlite3.Error as error:
            raise self._told(error) from error

    def _tables(self) -> int:
        (count,) = self._db.execute("select count(*) from sqlite_master").fetchone()
        return int(count)

    def _identify(self) -> None:
        (whose,) = self._db.execute("pragma application_id").fetchone()
        (schema,) = self._db.execute("pragma user_version").fetchone()
        if whose != _APPLICATION:
            raise self._damaged("it is not a campaign's")
        if schema != _SCHEMA:
            raise self._damaged(f"it has schema {schema}, not {_SCHEMA}")

    def _inspect(self) -> None:
        self._identify()
        (said,) = self._db.execute("pragma integrity_check(1)").fetchone()
        if said != "ok":
            raise self._damaged(said.splitlines()[0])
        for row in self._db.execute("select * from part"):
            self._checked(row)

    def _checked(self, row: tuple[Any, ...]) -> tuple[float, bytes]:
        """Seconds and tally of a row that is what was written.  Raises StoreDamaged."""
        *columns, digest = row
        if _digest(columns) != digest:
            raise self._damaged("a stored result is not what was written")
        return columns[-2], columns[-1]

    def _told(self, error: Exception) -> Exception:
        """Is the file damaged, or was it the machine that failed?"""
        primary = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the rest is detail
        if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return StoreFailed(f"{self.path} is in use by another marginflow")
        if primary in _MACHINE:
            return StoreFailed(f"cannot write {self.path}: {error}")
        return self._damaged(" ".join(str(error).split()))

    def _damaged(self, what: str) -> StoreDamaged:
        return StoreDamaged(
            f"{self.path} is damaged ({what}); run without --resume to measure everything again"
        )

    def held(self) -> set[str]:
        """The keys of every part that is held."""
        return {key for (key,) in self._db.execute("select key from part")}

    def put(self, key: str, part: Part, measured: Measured, source: str) -> None:
        """Hold a measured part; one that is held already stays as it is.  Raises StoreFailed."""
        if measured.tally is None:
            return  # what failed may have been the machine: it is measured again
        blob = zlib.compress(measured.tally.encode(), 3)
        unit = part.unit
        shape = "x".join(map(str, part.shape)) if part.shape else ""
        row = [
            key, unit.claim, part.kind, part.of[:64], shape, part.first, part.count, unit.profile,
            unit.seed, unit.device, source, repr(unit.budget.settings), measured.seconds, blob,
        ]  # fmt: skip
        try:
            self._db.execute(
                f"insert or ignore into part values ({'?,' * len(row)}?)", (*row, _digest(row))
            )
        except sqlite3.Error as error:
            raise StoreFailed(f"cannot write {self.path}: {error}") from error

    def get(self, key: str) -> Measured:
        """The part held under this key.  Raises KeyError, StoreDamaged."""
        try:
            row = self._db.execute("select * from part where key = ?", (key,)).fetchone()
            if row is None:
                raise KeyError(key)
            seconds, blob = self._checked(row)
            return Measured(zlib.decompress(blob).decode(), seconds)
        except (sqlite3.Error, zlib.error) as error:
            raise self._told(error) from error

    def close(self) -> None:
        """Write the log back into the file, so that one file can be copied."""
        try:
            self._db.close()
        except sqlite3.Error as error:  # the log is kept, and read back by the next run
            raise StoreFailed(f"cannot write {self.path}: {error}") from error


def _digest(columns: Sequence[Any]) -> bytes:
    """SHA-256 of a row; repr tells 1 from 1.0 and "1", and gives every bit of a float."""
    return hashlib.sha256(repr(tuple(columns)).encode()).digest()
