"""What a node remembers, one class per table, all on one database.

Every save is durable when the call returns, and any thread may call. A look-up by id takes any unique prefix, in either
case, and where rows have names a unique name.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

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
from viz_node.errors import RefusedError, UsageError
from viz_node.storage.database import Row
from viz_node.storage.outbox_rows import outbox_body, outbox_entry
from viz_node.storage.table import MOST_LISTED, Table, as_text, only, upsert


class Works(Table):
    """The owner's works."""

    def add_work(self, work: Work, sealed_path: str | Path) -> None:
        """Remember a work and where its sealed text lies. Raises: RefusedError (the id is there already)."""
        with self.db.transaction():
            self.refuse_second("works", work.work_id, "work")
            values = (work.work_id, work.added, str(sealed_path), as_text(asdict(work)))
            self.db.execute("INSERT INTO works VALUES (?, ?, ?, ?)", values)

    def list_works(self) -> list[Work]:
        """All works, oldest first."""
        return [_work(row[0]) for row in self.db.query("SELECT body FROM works ORDER BY added, rowid")]

    def find_work(self, work_id: str) -> Work:
        """The work with this id, unique prefix or unique title. Raises: NotFoundError, UsageError."""
        return _work(self.find("works", "body", work_id, "work", "title")[0])

    def remove_work(self, work_id: str) -> Path:
        """Forget the work; the sealed file that the caller must delete. Raises: NotFoundError, UsageError."""
        with self.db.transaction():
            full_id, sealed_path = self.find("works", "id, sealed_path", work_id, "work", "title")
            self.db.execute("DELETE FROM works WHERE id = ?", (full_id,))
        return Path(sealed_path)


class Jobs(Table):
    """Jobs: their orders and their progress."""

    def add_job(self, job: Job[Order]) -> None:
        """Remember a new job. Raises: RefusedError (the id is there already)."""
        with self.db.transaction():
            self.refuse_second("jobs", job.job_id, "job")
            self.save_job(job)

    def save_job(self, job: Job[Order]) -> None:
        """Insert or replace the job."""
        body = as_json(job) | {"order": order_body(job.order)}
        values = (job.job_id, job.created, job.state.value, as_text(body))
        self.db.execute(upsert("jobs", ("id", "created", "state", "body")), values)

    def find_job(self, job_id: str) -> Job[Order]:
        """The job with this id or unique prefix. Raises: NotFoundError, UsageError."""
        return _job(self.find("jobs", "body", job_id, "job")[0])

    def list_jobs(self) -> list[Job[Order]]:
        """All jobs, newest first."""
        return [_job(row[0]) for row in self.db.query("SELECT body FROM jobs ORDER BY created DESC, rowid DESC")]


class Adapters(Table):
    """The library of adapters."""

    def save_adapter(self, record: AdapterRecord) -> None:
        """Insert the adapter, or replace the one of that name. Raises: UsageError, RefusedError (id of another)."""
        if record.origin not in ADAPTER_ORIGINS:
            raise UsageError(f"{record.origin!r} is not an origin of adapters")
        body = asdict(record)
        del body["manifest"]
        with self.db.transaction():
            taken = "SELECT id FROM adapters WHERE adapter_id = ? AND id != ?"
            rows = self.db.query(taken, (record.adapter_id, record.name))
            if rows:
                raise RefusedError(f"the adapter is in the library as {rows[0][0]!r}", "see `viz-node adapters list`")
            values = (record.name, record.adapter_id, record.created, record.manifest, as_text(body))
            self.db.execute(upsert("adapters", ("id", "adapter_id", "created", "manifest", "body")), values)

    def find_adapter(self, name: str) -> AdapterRecord:
        """The adapter with this name, adapter id or unique prefix of its id. Raises: NotFoundError, UsageError."""
        digits, columns = name.lower(), "id, adapter_id, manifest, body"
        rows = self.db.query(f"SELECT {columns} FROM adapters WHERE id = ? OR adapter_id = ?", (name, digits))
        if not rows and name:
            sql = f"SELECT {columns} FROM adapters WHERE substr(adapter_id, 1, ?) = ? LIMIT {MOST_LISTED}"
            rows = self.db.query(sql, (len(digits), digits))
        return _adapter(only([(row[1], row[0], *row[2:]) for row in rows], name, "adapter"))

    def list_adapters(self) -> list[AdapterRecord]:
        """All adapters, oldest first."""
        return [_adapter(row) for row in self.db.query("SELECT manifest, body FROM adapters ORDER BY created, rowid")]

    def remove_adapter(self, name: str) -> None:
        """Forget the adapter of exactly this name; unknown names are fine."""
        self.db.execute("DELETE FROM adapters WHERE id = ?", (name,))


class AnnouncementRows(Table):
    """Announcements of peers."""

    def save_announcement(self, key: str, sequence: int, expires: int, raw: bytes) -> bool:
        """Keep it if its sequence is above that of the one with this key; whether it was kept."""
        sql = (
            "INSERT INTO announcements VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET sequence = excluded.sequence,"
            " expires = excluded.expires, raw = excluded.raw WHERE excluded.sequence > sequence"
        )
        return self.db.execute(sql, (key, sequence, expires, raw)) > 0

    def list_announcements(self, now: int) -> list[bytes]:
        """Those not expired at `now`, first heard first; a reply to peers and the base of a search."""
        sql = "SELECT raw FROM announcements WHERE expires > ? ORDER BY rowid"
        return [row[0] for row in self.db.query(sql, (now,))]

    def remove_expired_announcements(self, now: int) -> int:
        """Forget what expired by `now`; how many."""
        return self.db.execute("DELETE FROM announcements WHERE expires <= ?", (now,))


class Outbox(Table):
    """Transactions that this node has signed."""

    def add_outbox(self, entry: OutboxEntry) -> None:
        """Journal a signed transaction before it is sent. Raises: RefusedError (that hash is there already)."""
        with self.db.transaction():
            self.refuse_second("outbox", entry.tx_hash, "transaction")
            self.save_outbox(entry)

    def save_outbox(self, entry: OutboxEntry) -> None:
        """Insert or replace the transaction. Raises: UsageError (unknown state)."""
        _check_state(entry.state, OUTBOX_STATES)
        body = outbox_body(entry)
        columns = ("id", "order_id", "kind", "state", "nonce", "created", "raw", "body")
        values = (entry.tx_hash, entry.order_id, entry.kind, entry.state, entry.nonce, entry.created, entry.raw)
        self.db.execute(upsert("outbox", columns), (*values, as_text(body)))

    def pending_outbox(self) -> list[OutboxEntry]:
        """Transactions whose fate is open, in the order of their nonces."""
        marks = ", ".join("?" * len(PENDING_OUTBOX_STATES))
        sql = f"SELECT raw, body FROM outbox WHERE state IN ({marks}) ORDER BY nonce, rowid"
        return [outbox_entry(row) for row in self.db.query(sql, PENDING_OUTBOX_STATES)]

    def outbox_of(self, order_id: str) -> list[OutboxEntry]:
        """The transactions of one order, in the order they were added."""
        sql = "SELECT raw, body FROM outbox WHERE order_id = ? ORDER BY rowid"
        return [outbox_entry(row) for row in self.db.query(sql, (order_id,))]

    def has_transactions(self) -> bool:
        """Whether this node has ever signed one."""
        return bool(self.db.query("SELECT 1 FROM outbox LIMIT 1", ()))


class FederationRecords(Table):
    """Federations that this node knows."""

    def save_federation(self, federation: Federation) -> None:
        """Insert or replace what the node knows of a federation."""
        self.db.execute(upsert("federations", ("id", "body")), (federation.federation_id, as_text(as_json(federation))))

    def find_federation(self, federation_id: str) -> Federation:
        """The federation with this id, unique prefix or unique name. Raises: NotFoundError, UsageError."""
        return parse_federation(self.find("federations", "body", federation_id, "federation", "name")[0])

    def list_federations(self) -> list[Federation]:
        """All federations, oldest first."""
        return [parse_federation(row[0]) for row in self.db.query("SELECT body FROM federations ORDER BY rowid")]


class SealedOrders(Table):
    """Secrets of placed orders, and the keys that they brought; sealed, in hex."""

    def save_order_secret(self, reference: str, sealed: str) -> None:
        """Insert or replace the secret of the order with this reference."""
        self.db.execute(upsert("order_secrets", ("id", "sealed")), (reference, sealed))

    def find_order_secret(self, reference: str) -> str | None:
        """The secret, if this node placed the order."""
        return self.value("order_secrets", "sealed", reference, str)

    def save_order_key(self, key_hash: str, sealed: str) -> None:
        """Insert or replace the key with this hash."""
        self.db.execute(upsert("order_keys", ("id", "sealed")), (key_hash, sealed))

    def find_order_key(self, key_hash: str) -> str | None:
        """The key, if an order has brought it."""
        return self.value("order_keys", "sealed", key_hash, str)


class Manifests(Table):
    """Signed manifests of other nodes' adapters."""

    def save_manifest(self, adapter_id: str, raw: bytes) -> None:
        """Insert or replace the adapter's manifest."""
        self.db.execute(upsert("manifests", ("id", "raw")), (adapter_id, raw))

    def find_manifest(self, adapter_id: str) -> bytes | None:
        """The manifest as it came, or None."""
        return self.value("manifests", "raw", adapter_id, bytes)


class FirstStarts(Table):
    """How far this home's first start came."""

    def save_first_start(self, made: str, state: str) -> None:
        """Insert or replace the state of what a first start makes."""
        self.db.execute(upsert("first_start", ("id", "state")), (made, state))

    def find_first_start(self, made: str) -> str | None:
        """The state, or None before the first start."""
        return self.value("first_start", "state", made, str)


class Settings(Table):
    """Single values that belong to the home."""

    def get_setting(self, name: str) -> str | None:
        """The value, or None."""
        return self.value("settings", "value", name, str)

    def set_setting(self, name: str, value: str) -> None:
        """Insert or replace the value."""
        self.db.execute(upsert("settings", ("id", "value")), (name, value))


def _check_state(state: str, known: Sequence[str]) -> None:
    if state not in known:
        raise UsageError(f"{state!r} is not one of {', '.join(known)}")


def _work(text: str) -> Work:
    body = json.loads(text)
    lists = {name: tuple(body.get(name, ())) for name in ("notes", "signature")}
    return Work(**{**body, "rights": Rights(body["rights"]), **lists})


def _job(text: str) -> Job[Order]:
    body = json.loads(text)
    order = parse_order(body["kind"], body["order"])
    return Job(**{**body, "state": JobState(body["state"]), "order": order})


def _adapter(row: Row) -> AdapterRecord:
    body = json.loads(row[1])
    works = tuple(WorkId(work) for work in body["works"])
    parents = tuple(AdapterId(parent) for parent in body["parents"])
    return AdapterRecord(**{**body, "works": works, "parents": parents, "manifest": row[0]})
