"""One SQLite file with numbered migrations, durable commits and one connection that threads share under a lock.

Every commit is on the disk when the call returns (WAL with `synchronous=FULL`): money depends on it. The schema version
stands in `PRAGMA user_version`; a file written by a newer program is refused, an older one is backed up next to itself
before it is migrated, all in one transaction.
"""

import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from viz_node.errors import StorageError

Row = tuple[Any, ...]


class Database:
    """An open database at the newest of `migrations` (SQL scripts, the first makes version 1)."""

    def __init__(self, path: Path, migrations: Sequence[str]) -> None:
        """Open or create `path` and migrate it. Raises: StorageError (damaged, newer schema, no access)."""
        self._path = Path(path)
        self._lock = threading.RLock()
        self._depth = 0
        try:
            self._create_private_file()
            self._connection = sqlite3.connect(self._path, timeout=5, isolation_level=None, check_same_thread=False)
        except (OSError, sqlite3.Error) as error:
            raise StorageError(f"cannot open {self._path}: {error}", "check the disk and the file's owner") from error
        try:
            self._prepare(migrations)
        except BaseException:
            self._connection.close()
            raise

    def query(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        """All rows of a SELECT. Raises: StorageError."""
        with self._lock, self._translated():
            return self._connection.execute(sql, values).fetchall()

    def execute(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Run one statement, durable on return unless inside `transaction`; the number of rows it changed.

        Raises: StorageError.
        """
        with self._lock, self._translated():
            return self._connection.execute(sql, values).rowcount

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make the statements inside one step; an exception undoes them all. Other threads wait; nesting joins."""
        with self._lock:
            if self._depth:
                yield
                return
            with self._translated():
                self._connection.execute("BEGIN IMMEDIATE")
            self._depth = 1
            try:
                yield
                with self._translated():
                    self._connection.execute("COMMIT")
            finally:
                self._depth = 0
                if self._connection.in_transaction:
                    with self._translated():
                        self._connection.execute("ROLLBACK")

    def close(self) -> None:
        """Close the file; every later call raises StorageError."""
        with self._lock:
            self._connection.close()

    def _create_private_file(self) -> None:
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600))

    def _prepare(self, migrations: Sequence[str]) -> None:
        with self._translated():
            version = int(self._connection.execute("PRAGMA user_version").fetchone()[0])
            if version > len(migrations):
                raise StorageError(
                    f"{self._path} has schema {version}, this program knows {len(migrations)}",
                    "install the newer version again, or restore a backup",
                )
            if self._connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
                raise StorageError(f"{self._path} is damaged", "restore it from a backup")
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=FULL")
            self._connection.execute("PRAGMA foreign_keys=ON")
        if version < len(migrations):
            self._migrate(version, migrations)

    def _migrate(self, version: int, migrations: Sequence[str]) -> None:
        if version > 0:
            self._back_up(version)
        with self.transaction(), self._translated():
            for script in migrations[version:]:
                for statement in script.split(";"):
                    if statement.strip():
                        self._connection.execute(statement)
            self._connection.execute(f"PRAGMA user_version={len(migrations)}")

    def _back_up(self, version: int) -> None:
        target = self._path.with_name(f"{self._path.name}.v{version}.backup")
        with self._translated():
            os.close(os.open(target, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600))
            copy = sqlite3.connect(target)
            try:
                self._connection.backup(copy)
            finally:
                copy.close()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError, OverflowError) as error:
            raise StorageError(f"{self._path.name}: {error}", "check the disk, then run `viz-node doctor`") from error
