"""Migrations, transactions and refusals of the database file."""

import sqlite3
import threading
from pathlib import Path

import pytest

from viz_node.errors import StorageError
from viz_node.storage.database import Database
from viz_node.storage.schema import MIGRATIONS
from viz_node.storage.store import Store

FIRST = "CREATE TABLE t (id INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.db"


def test_database__newer_schema__refused_and_untouched(path: Path) -> None:
    Store(path).close()
    with sqlite3.connect(path) as raw:
        raw.execute(f"PRAGMA user_version={len(MIGRATIONS) + 1}")
    raw.close()
    before = path.read_bytes()
    with pytest.raises(StorageError, match="schema"):
        Store(path)
    assert path.read_bytes() == before


def test_database__older_schema__backed_up_then_migrated(path: Path) -> None:
    old = Database(path, [FIRST])
    old.execute("INSERT INTO t VALUES (1, 'kept')")
    old.close()
    new = Database(path, [FIRST, "ALTER TABLE t ADD COLUMN more TEXT"])
    assert new.query("SELECT * FROM t") == [(1, "kept", None)]
    assert new.query("PRAGMA user_version") == [(2,)]
    new.close()
    backup = path.with_name("x.db.v1.backup")
    assert backup.stat().st_mode & 0o077 == 0
    assert sqlite3.connect(backup).execute("SELECT * FROM t").fetchall() == [(1, "kept")]


def test_database__migration_fails_half_way__old_schema_stays(path: Path) -> None:
    Database(path, [FIRST]).close()
    with pytest.raises(StorageError):
        Database(path, [FIRST, "CREATE TABLE u (id INTEGER) STRICT; CREATE TABLE t (id INTEGER) STRICT"])
    again = Database(path, [FIRST])
    assert again.query("SELECT name FROM sqlite_master WHERE type = 'table'") == [("t",)]


@pytest.mark.parametrize("content", [b"not a database at all" * 100, b"SQLite format 3\0" + bytes(4000)])
def test_database__not_sqlite__refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(StorageError):
        Store(path)


def test_database__a_link_or_a_directory__refused(path: Path, tmp_path: Path) -> None:
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageError):
        Store(path)
    with pytest.raises(StorageError):
        Store(tmp_path)
    assert not (tmp_path / "elsewhere").exists()


def test_database__opened__commits_reach_the_disk(path: Path) -> None:
    database = Database(path, [FIRST])
    assert database.query("PRAGMA journal_mode") == [("wal",)]
    assert database.query("PRAGMA synchronous") == [(2,)]


def test_transaction__exception__undoes_nested_statements(path: Path) -> None:
    database = Database(path, [FIRST])

    def insert_then_fail() -> None:
        with database.transaction():
            database.execute("INSERT INTO t VALUES (1, 'a')")
            with database.transaction():
                database.execute("INSERT INTO t VALUES (2, 'b')")
            raise KeyError

    with pytest.raises(KeyError):
        insert_then_fail()
    assert database.query("SELECT * FROM t") == []
    with database.transaction():
        database.execute("INSERT INTO t VALUES (3, 'c')")
    assert database.query("SELECT id FROM t") == [(3,)]


def test_execute__many_threads__all_rows_arrive(path: Path) -> None:
    database = Database(path, [FIRST])

    def insert(start: int) -> None:
        for number in range(start, start + 10):
            with database.transaction():
                database.execute("INSERT INTO t VALUES (?, 'x')", (number,))

    threads = [threading.Thread(target=insert, args=(start,)) for start in range(0, 40, 10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert database.query("SELECT count(*) FROM t") == [(40,)]


def test_query__after_close_or_bad_values__is_storage_error(path: Path) -> None:
    database = Database(path, [FIRST])
    for values in ((2**70, "x"), (1, None), ("one", "x")):
        with pytest.raises(StorageError):
            database.execute("INSERT INTO t VALUES (?, ?)", values)
    database.close()
    with pytest.raises(StorageError):
        database.query("SELECT 1")
