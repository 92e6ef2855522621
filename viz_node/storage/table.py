"""What all tables of the database have in common."""

import json
from collections.abc import Sequence
from typing import TypeVar

from viz_node.errors import NotFoundError, RefusedError, UsageError
from viz_node.storage.database import Database, Row

Value = TypeVar("Value", str, bytes)
MOST_LISTED = 6
_SHOWN_DIGITS = 12
_LISTED_BY = {
    "work": "content list",
    "job": "jobs list",
    "adapter": "adapters list",
    "federation": "federation status",
}


class Table:
    """A table of the shared database."""

    def __init__(self, database: Database) -> None:
        self.db = database

    def find(self, table: str, columns: str, key: str, noun: str, name_field: str = "") -> Row:
        """The row with this id; or the only one whose id begins so or, if it has a name, whose name this is."""
        digits, name = key.lower(), f"json_extract(body, '$.{name_field}')" if name_field else "''"
        select = f"SELECT id, {name}, {columns} FROM {table}"
        rows = self.db.query(f"{select} WHERE id = ?", (digits,))
        if not rows and key:
            # substr, because LIKE and GLOB would read `%` and `*` in what the user typed
            sql = f"{select} WHERE substr(id, 1, ?) = ? OR {name} = ? LIMIT {MOST_LISTED}"
            rows = self.db.query(sql, (len(digits), digits, key))
        return only(rows, key, noun)

    def value(self, table: str, column: str, key: str, kind: type[Value]) -> Value | None:
        """The column of the row with exactly this id, which is of this kind, or None."""
        rows = self.db.query(f"SELECT {column} FROM {table} WHERE id = ?", (key,))
        value = rows[0][0] if rows else None
        assert value is None or isinstance(value, kind)
        return value

    def refuse_second(self, table: str, key: str, noun: str) -> None:
        """Raises: RefusedError if the table has the key already."""
        if self.db.query(f"SELECT 1 FROM {table} WHERE id = ?", (key,)):
            raise RefusedError(f"the {noun} {key[:16]} is there already")


def only(rows: Sequence[Row], key: str, noun: str) -> Row:
    """The one row, without the id and the name that it begins with. Raises: NotFoundError, UsageError (several)."""
    if not rows:
        raise NotFoundError(f"no {noun} {key!r}", f"see `viz-node {_LISTED_BY[noun]}`")
    if len(rows) > 1:
        listed = ", ".join(f"{row[0][:_SHOWN_DIGITS]} {row[1]}".strip() for row in rows[: MOST_LISTED - 1])
        more = " and others" if len(rows) == MOST_LISTED else ""
        told = f"more than one {noun} begins with or is called {key!r}: {listed}{more}"
        raise UsageError(told, f"name one by more digits of its id; see `viz-node {_LISTED_BY[noun]}`")
    return rows[0][2:]


def upsert(table: str, columns: Sequence[str]) -> str:
    """The statement that inserts or replaces a row by its `id`."""
    marks = ", ".join("?" * len(columns))
    updates = ", ".join(f"{column} = excluded.{column}" for column in columns[1:])
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks}) ON CONFLICT (id) DO UPDATE SET {updates}"


def as_text(body: object) -> str:
    """JSON as rows keep it."""
    return json.dumps(body, ensure_ascii=True, separators=(",", ":"))
