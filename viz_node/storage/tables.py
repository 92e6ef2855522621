"""What a node remembers, one class per table, all on one database.

Every save is durable when the call returns, and any thread may call. A look-up by id takes any unique prefix, in either
case, and where rows have names a unique name.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from viz_node.domain.answer import as_json
from viz_node.domain.federation import Federation, parse_federation
from viz_node.domain.ids import AdapterId, WorkId
from viz_node.domain.job import Job, JobState
from viz_node.domain.orders import Order, order_body, parse_order
from viz_node.domain.records import (
    ADAPTER_ORIGINS,
    OUTBOX_STATES,
    PENDING_OUTBOX_STATES,
    AdapterRecord,
    OutboxEntry,
)
from viz_node.domain.work import Rights, Work
from viz_node.errors import NotFoundError, RefusedError, UsageError
from viz_node.storage.database import Database, Row

Value = TypeVar("Value", str, bytes)
_MOST_LISTED = 6
_SHOWN_DIGITS = 12
_LISTED_BY = {
    "work": "content list",
    "job": "jobs list",
    "adapter": "adapters list",
    "federation": "federation status",
}


class _Table:
    """A table of the shared database."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def _find(self, table: str, columns: str, key: str, noun: str, name_field: str = "") -> Row:
        """The row with this id; or the only one whose id begins so or, if it has a name, whose name this is."""
        digits, name = key.lower(), f"json_extract(body, '$.{name_field}')" if name_field else "''"
        select = f"SELECT id, {name}, {columns} FROM {table}"
        rows = self._db.query(f"{select} WHERE id = ?", (digits,))
        if not rows and key:
            # substr, because LIKE and GLOB would read `%` and `*` in what the user typed
            sql = f"{select} WHERE substr(id, 1, ?) = ? OR {name} = ? LIMIT {_MOST_LISTED}"
            rows = self._db.query(sql, (len(digits), digits, key))
        return _only(rows, key, noun)

    def _value(self, table: str, column: str, key: str, kind: type[Value]) -> Value | None:
        """The column of the row with exactly this id, which is of this kind, or None."""
        rows = self._db.query(f"SELECT {column} FROM {table} WHERE id = ?", (key,))
        value = rows[0][0] if rows else None
        assert value is None or isinstance(value, kind)
        return value

    def _refuse_second(self, table: str, key: str, noun: str) -> None:
        if self._db.query(f"SELECT 1 FROM {table} WHERE id = ?", (key,)):
            raise RefusedError(f"the {noun} {key[:16]} is there already")


class Works(_Table):
    """The owner's works."""

    def add_work(self, work: Work, sealed_path: str | Path) -> None:
        """Remember a work and where its sealed text lies. Raises: RefusedError (the id is there already)."""
        with self._db.transaction():
            self._refuse_second("works", work.work_id, "work")
            values = (work.work_id, work.added, str(sealed_path), _json(asdict(work)))
            self._db.execute("INSERT INTO works VALUES (?, ?, ?, ?)", values)

    def list_works(self) -> list[Work]:
        """All works, oldest first."""
        return [_work(row[0]) for row in self._db.query("SELECT body FROM works ORDER BY added, rowid")]

    def find_work(self, work_id: str) -> Work:
        """The work with this id, unique prefix or unique title. Raises: NotFoundError, UsageError."""
        return _work(self._find("works", "body", work_id, "work", "title")[0])

    def remove_work(self, work_id: str) -> Path:
        """Forget the work; the sealed file that the caller must delete. Raises: NotFoundError, UsageError."""
        with self._db.transaction():
            full_id, sealed_path = self._find("works", "id, sealed_path", work_id, "work", "title")
            self._db.execute("DELETE FROM works WHERE id = ?", (full_id,))
        return Path(sealed_path)


class Jobs(_Table):
    """What was ordered, and how far it is."""

    def add_job(self, job: Job[Order]) -> None:
        """Remember a new job. Raises: RefusedError (the id is there already)."""
        with self._db.transaction():
            self._refuse_second("jobs", job.job_id, "job")
            self.save_job(job)

    def save_job(self, job: Job[Order]) -> None:
        """Insert or replace the job."""
        body = as_json(job) | {"order": order_body(job.order)}
        values = (job.job_id, job.created, job.state.value, _json(body))
        self._db.execute(_upsert("jobs", ("id", "created", "state", "body")), values)

    def find_job(self, job_id: str) -> Job[Order]:
        """The job with this id or unique prefix. Raises: NotFoundError, UsageError."""
        return _job(self._find("jobs", "body", job_id, "job")[0])

    def list_jobs(self) -> list[Job[Order]]:
        """All jobs, newest first."""
        return [_job(row[0]) for row in self._db.query("SELECT body FROM jobs ORDER BY created DESC, rowid DESC")]


class Adapters(_Table):
    """The library of adapters."""

    def save_adapter(self, record: AdapterRecord) -> None:
        """Insert the adapter, or replace the one of that name. Raises: UsageError, RefusedError (id of another)."""
        if record.origin not in ADAPTER_ORIGINS:
            raise UsageError(f"{record.origin!r} is not an origin of adapters")
        body = asdict(record)
        del body["manifest"]
        with self._db.transaction():
            taken = "SELECT id FROM adapters WHERE adapter_id = ? AND id != ?"
            rows = self._db.query(taken, (record.adapter_id, record.name))
            if rows:
                raise RefusedError(f"the adapter is in the library as {rows[0][0]!r}", "see `viz-node adapters list`")
            values = (record.name, record.adapter_id, record.created, record.manifest, _json(body))
            self._db.execute(_upsert("adapters", ("id", "adapter_id", "created", "manifest", "body")), values)

    def find_adapter(self, name: str) -> AdapterRecord:
        """The adapter with this name, adapter id or unique prefix of its id. Raises: NotFoundError, UsageError."""
        digits, columns = name.lower(), "id, adapter_id, manifest, body"
        rows = self._db.query(f"SELECT {columns} FROM adapters WHERE id = ? OR adapter_id = ?", (name, digits))
        if not rows and name:
            sql = f"SELECT {columns} FROM adapters WHERE substr(adapter_id, 1, ?) = ? LIMIT {_MOST_LISTED}"
            rows = self._db.query(sql, (len(digits), digits))
        return _adapter(_only([(row[1], row[0], *row[2:]) for row in rows], name, "adapter"))

    def list_adapters(self) -> list[AdapterRecord]:
        """All adapters, oldest first."""
        return [_adapter(row) for row in self._db.query("SELECT manifest, body FROM adapters ORDER BY created, rowid")]

    def remove_adapter(self, name: str) -> None:
        """Forget the adapter of exactly this name; unknown names are fine."""
        self._db.execute("DELETE FROM adapters WHERE id = ?", (name,))


class AnnouncementRows(_Table):
    """What peers announced."""

    def save_announcement(self, key: str, sequence: int, expires: int, raw: bytes) -> bool:
        """Keep it if its sequence is above that of the one with this key; whether it was kept."""
        sql = (
            "INSERT INTO announcements VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET sequence = excluded.sequence,"
            " expires = excluded.expires, raw = excluded.raw WHERE excluded.sequence > sequence"
        )
        return self._db.execute(sql, (key, sequence, expires, raw)) > 0

    def list_announcements(self, now: int) -> list[bytes]:
        """Those not expired at `now`, first heard first; a reply to peers and the base of a search."""
        sql = "SELECT raw FROM announcements WHERE expires > ? ORDER BY rowid"
        return [row[0] for row in self._db.query(sql, (now,))]

    def remove_expired_announcements(self, now: int) -> int:
        """Forget what expired by `now`; how many."""
        return self._db.execute("DELETE FROM announcements WHERE expires <= ?", (now,))


class Outbox(_Table):
    """Transactions that this node has signed."""

    def add_outbox(self, entry: OutboxEntry) -> None:
        """Journal a signed transaction before it is sent. Raises: RefusedError (that hash is there already)."""
        with self._db.transaction():
            self._refuse_second("outbox", entry.tx_hash, "transaction")
            self.save_outbox(entry)

    def save_outbox(self, entry: OutboxEntry) -> None:
        """Insert or replace the transaction. Raises: UsageError (unknown state)."""
        _check_state(entry.state, OUTBOX_STATES)
        body = asdict(entry)
        del body["raw"]
        columns = ("id", "order_id", "kind", "state", "nonce", "created", "raw", "body")
        values = (entry.tx_hash, entry.order_id, entry.kind, entry.state, entry.nonce, entry.created, entry.raw)
        self._db.execute(_upsert("outbox", columns), (*values, _json(body)))

    def pending_outbox(self) -> list[OutboxEntry]:
        """Transactions whose fate is open, in the order of their nonces."""
        marks = ", ".join("?" * len(PENDING_OUTBOX_STATES))
        sql = f"SELECT raw, body FROM outbox WHERE state IN ({marks}) ORDER BY nonce, rowid"
        return [_outbox(row) for row in self._db.query(sql, PENDING_OUTBOX_STATES)]

    def outbox_of(self, order_id: str) -> list[OutboxEntry]:
        """The transactions of one order, in the order they were added."""
        sql = "SELECT raw, body FROM outbox WHERE order_id = ? ORDER BY rowid"
        return [_outbox(row) for row in self._db.query(sql, (order_id,))]

    def has_transactions(self) -> bool:
        """Whether this node has ever signed one."""
        return bool(self._db.query("SELECT 1 FROM outbox LIMIT 1", ()))


class Channels(_Table):
    """Channels for paid uses, with their receipts."""

    def save_channel(
        self, key: str, body: dict[str, Any], receipt: dict[str, Any] | None = None, answer: str | None = None
    ) -> None:
        """Insert or replace what the node knows of a channel, with receipt and answer of its newest use, in one step.

        All receipts are kept, and the last answer.
        """
        sql = (
            "INSERT INTO channels (id, body, answer) VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET"
            " body = excluded.body, answer = coalesce(excluded.answer, answer)"
        )
        with self._db.transaction():
            self._db.execute(sql, (key, _json(body), answer))
            if receipt is not None:
                values = (f"{key}/{body['uses']}", key, _json(receipt))
                self._db.execute(_upsert("receipts", ("id", "channel", "body")), values)

    def find_channel(self, key: str) -> dict[str, Any] | None:
        """What the node knows of a channel."""
        rows = self._db.query("SELECT body FROM channels WHERE id = ?", (key,))
        return dict(json.loads(rows[0][0])) if rows else None

    def answer_of(self, key: str) -> str | None:
        """The answer that was kept with the channel's newest use."""
        rows = self._db.query("SELECT answer FROM channels WHERE id = ?", (key,))
        return rows[0][0] if rows else None

    def channels_with(self, prefix: str) -> dict[str, dict[str, Any]]:
        """The channels whose keys begin so, by key, oldest first."""
        rows = self._db.query("SELECT id, body FROM channels WHERE substr(id, 1, ?) = ? ORDER BY rowid",
                              (len(prefix), prefix))  # fmt: skip
        return {key: dict(json.loads(body)) for key, body in rows}

    def receipts_of(self, key: str) -> list[dict[str, Any]]:
        """The receipts of a channel, oldest first."""
        rows = self._db.query("SELECT body FROM receipts WHERE channel = ? ORDER BY rowid", (key,))
        return [dict(json.loads(body)) for (body,) in rows]


class PoolRecords(_Table):
    """What the node knows of pools."""

    def save_pool_record(self, key: str, body: dict[str, Any]) -> None:
        """Insert or replace what the node knows of a pool under a key like `member/1/2`."""
        self._db.execute(_upsert("pool_records", ("id", "body")), (key, _json(body)))

    def find_pool_record(self, key: str) -> dict[str, Any] | None:
        """The record with exactly this key."""
        rows = self._db.query("SELECT body FROM pool_records WHERE id = ?", (key,))
        return dict(json.loads(rows[0][0])) if rows else None

    def pool_records_with(self, prefix: str) -> dict[str, dict[str, Any]]:
        """The records whose keys begin so, by key, oldest first."""
        rows = self._db.query("SELECT id, body FROM pool_records WHERE substr(id, 1, ?) = ? ORDER BY rowid",
                              (len(prefix), prefix))  # fmt: skip
        return {key: dict(json.loads(body)) for key, body in rows}

    def remove_pool_record(self, key: str) -> None:
        """Forget the record with exactly this key."""
        self._db.execute("DELETE FROM pool_records WHERE id = ?", (key,))


class FederationRecords(_Table):
    """Federations that this node knows."""

    def save_federation(self, federation: Federation) -> None:
        """Insert or replace what the node knows of a federation."""
        self._db.execute(_upsert("federations", ("id", "body")), (federation.federation_id, _json(as_json(federation))))

    def find_federation(self, federation_id: str) -> Federation:
        """The federation with this id, unique prefix or unique name. Raises: NotFoundError, UsageError."""
        return parse_federation(self._find("federations", "body", federation_id, "federation", "name")[0])

    def list_federations(self) -> list[Federation]:
        """All federations, oldest first."""
        return [parse_federation(row[0]) for row in self._db.query("SELECT body FROM federations ORDER BY rowid")]


class SealedOrders(_Table):
    """Secrets of placed orders, and the keys that they brought; sealed, in hex."""

    def save_order_secret(self, reference: str, sealed: str) -> None:
        """Insert or replace the secret of the order with this reference."""
        self._db.execute(_upsert("order_secrets", ("id", "sealed")), (reference, sealed))

    def find_order_secret(self, reference: str) -> str | None:
        """The secret, if this node placed the order."""
        return self._value("order_secrets", "sealed", reference, str)

    def save_order_key(self, key_hash: str, sealed: str) -> None:
        """Insert or replace the key with this hash."""
        self._db.execute(_upsert("order_keys", ("id", "sealed")), (key_hash, sealed))

    def find_order_key(self, key_hash: str) -> str | None:
        """The key, if an order has brought it."""
        return self._value("order_keys", "sealed", key_hash, str)


class Manifests(_Table):
    """Signed manifests of other nodes' adapters."""

    def save_manifest(self, adapter_id: str, raw: bytes) -> None:
        """Insert or replace the adapter's manifest."""
        self._db.execute(_upsert("manifests", ("id", "raw")), (adapter_id, raw))

    def find_manifest(self, adapter_id: str) -> bytes | None:
        """The manifest as it came, or None."""
        return self._value("manifests", "raw", adapter_id, bytes)


class FirstStarts(_Table):
    """How far this home's first start came."""

    def save_first_start(self, made: str, state: str) -> None:
        """Insert or replace the state of what a first start makes."""
        self._db.execute(_upsert("first_start", ("id", "state")), (made, state))

    def find_first_start(self, made: str) -> str | None:
        """The state, or None before the first start."""
        return self._value("first_start", "state", made, str)


class Settings(_Table):
    """Single values that belong to the home."""

    def get_setting(self, name: str) -> str | None:
        """The value, or None."""
        return self._value("settings", "value", name, str)

    def set_setting(self, name: str, value: str) -> None:
        """Insert or replace the value."""
        self._db.execute(_upsert("settings", ("id", "value")), (name, value))


def _only(rows: Sequence[Row], key: str, noun: str) -> Row:
    """The one row, without the id and the name that it begins with. Raises: NotFoundError, UsageError (several)."""
    if not rows:
        raise NotFoundError(f"no {noun} {key!r}", f"see `viz-node {_LISTED_BY[noun]}`")
    if len(rows) > 1:
        listed = ", ".join(f"{row[0][:_SHOWN_DIGITS]} {row[1]}".strip() for row in rows[: _MOST_LISTED - 1])
        more = " and others" if len(rows) == _MOST_LISTED else ""
        told = f"more than one {noun} begins with or is called {key!r}: {listed}{more}"
        raise UsageError(told, f"name one by more digits of its id; see `viz-node {_LISTED_BY[noun]}`")
    return rows[0][2:]


def _upsert(table: str, columns: Sequence[str]) -> str:
    marks = ", ".join("?" * len(columns))
    updates = ", ".join(f"{column} = excluded.{column}" for column in columns[1:])
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks}) ON CONFLICT (id) DO UPDATE SET {updates}"


def _check_state(state: str, known: Sequence[str]) -> None:
    if state not in known:
        raise UsageError(f"{state!r} is not one of {', '.join(known)}")


def _json(body: dict[str, Any]) -> str:
    return json.dumps(body, ensure_ascii=True, separators=(",", ":"))


def _work(text: str) -> Work:
    body = json.loads(text)
    return Work(**{**body, "rights": Rights(body["rights"]), "notes": tuple(body.get("notes", ()))})


def _job(text: str) -> Job[Order]:
    body = json.loads(text)
    order = parse_order(body["kind"], body["order"])
    return Job(**{**body, "state": JobState(body["state"]), "order": order})


def _adapter(row: Row) -> AdapterRecord:
    body = json.loads(row[1])
    works = tuple(WorkId(work) for work in body["works"])
    parents = tuple(AdapterId(parent) for parent in body["parents"])
    return AdapterRecord(**{**body, "works": works, "parents": parents, "manifest": row[0]})


def _outbox(row: Row) -> OutboxEntry:
    return OutboxEntry(**json.loads(row[1]), raw=row[0])
