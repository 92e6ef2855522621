"""The node's state in memory; outlives the services that use it, as the database file does."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from viz_node.domain.answer import as_json
from viz_node.domain.channel import EARNED, PAID, EarnedRecord, PaidRecord, parse_earned, parse_paid
from viz_node.domain.federation import Federation, parse_federation
from viz_node.domain.job import Job
from viz_node.domain.pool_records import Record, parse_record
from viz_node.domain.records import PENDING_OUTBOX_STATES, AdapterRecord, OutboxEntry
from viz_node.domain.usage import SignedReceipt, parse_signed_receipt
from viz_node.domain.work import Work
from viz_node.errors import NotFoundError, RefusedError, UsageError


class MemoryWorks:
    """Fits `ports.state.Works`."""

    def __init__(self) -> None:
        self.rows: dict[str, tuple[Work, Path]] = {}

    def add_work(self, work: Work, sealed_path: str | Path) -> None:
        _refuse_second(self.rows, work.work_id)
        self.rows[work.work_id] = work, Path(sealed_path)

    def list_works(self) -> list[Work]:
        return sorted((work for work, _ in self.rows.values()), key=lambda work: work.added)

    def find_work(self, work_id: str) -> Work:
        return self.rows[_only(self.rows, work_id, {name: work.title for name, (work, _) in self.rows.items()})][0]

    def remove_work(self, work_id: str) -> Path:
        return self.rows.pop(self.find_work(work_id).work_id)[1]


class MemoryJobs:
    """Fits `ports.state.Jobs`."""

    def __init__(self) -> None:
        self.rows: dict[str, Job] = {}

    def add_job(self, job: Job) -> None:
        _refuse_second(self.rows, job.job_id)
        self.save_job(job)

    def save_job(self, job: Job) -> None:
        self.rows[job.job_id] = job

    def find_job(self, job_id: str) -> Job:
        return self.rows[_only(self.rows, job_id)]

    def list_jobs(self) -> list[Job]:
        return sorted(self.rows.values(), key=lambda job: job.created)[::-1]


class MemoryAdapters:
    """Fits `ports.state.Adapters`."""

    def __init__(self) -> None:
        self.rows: dict[str, AdapterRecord] = {}

    def save_adapter(self, record: AdapterRecord) -> None:
        others = [item for item in self.rows.values() if item.name != record.name]
        if record.adapter_id is not None and any(item.adapter_id == record.adapter_id for item in others):
            raise RefusedError("the adapter is in the library under another name")
        self.rows[record.name] = record

    def find_adapter(self, name: str) -> AdapterRecord:
        if name in self.rows:
            return self.rows[name]
        by_id = {item.adapter_id: item for item in self.rows.values() if item.adapter_id}
        return by_id[_only(by_id, name)]

    def list_adapters(self) -> list[AdapterRecord]:
        return sorted(self.rows.values(), key=lambda item: item.created)

    def remove_adapter(self, name: str) -> None:
        self.rows.pop(name, None)


class MemoryAnnouncementRows:
    """Fits `ports.state.AnnouncementRows`."""

    def __init__(self) -> None:
        self.rows: dict[str, tuple[int, int, bytes]] = {}

    def save_announcement(self, key: str, sequence: int, expires: int, raw: bytes) -> bool:
        if self.rows.get(key, (-1,))[0] >= sequence:
            return False
        self.rows[key] = sequence, expires, raw
        return True

    def list_announcements(self, now: int) -> list[bytes]:
        return [raw for _, expires, raw in self.rows.values() if expires > now]

    def remove_expired_announcements(self, now: int) -> int:
        expired = [key for key, (_, expires, _) in self.rows.items() if expires <= now]
        for key in expired:
            del self.rows[key]
        return len(expired)


class MemoryOutbox:
    """Fits `ports.state.Outbox`."""

    def __init__(self) -> None:
        self.rows: dict[str, OutboxEntry] = {}

    def add_outbox(self, entry: OutboxEntry) -> None:
        _refuse_second(self.rows, entry.tx_hash)
        self.save_outbox(entry)

    def save_outbox(self, entry: OutboxEntry) -> None:
        self.rows[entry.tx_hash] = entry

    def pending_outbox(self) -> list[OutboxEntry]:
        pending = [entry for entry in self.rows.values() if entry.state in PENDING_OUTBOX_STATES]
        return sorted(pending, key=lambda entry: entry.nonce)

    def outbox_of(self, order_id: str) -> list[OutboxEntry]:
        return [entry for entry in self.rows.values() if entry.order_id == order_id]

    def has_transactions(self) -> bool:
        return bool(self.rows)


class MemoryChannels:
    """Fits `ports.state.Channels`."""

    def __init__(self) -> None:
        self.rows: dict[str, str] = {}
        self._receipts: dict[str, dict[int, str]] = {}
        self._answers: dict[str, str] = {}

    def save_paid(self, key: str, record: PaidRecord, receipt: SignedReceipt | None = None) -> None:
        self._save(key, record, receipt)

    def find_paid(self, key: str) -> PaidRecord | None:
        return parse_paid(self.rows[key]) if key in self.rows else None

    def list_paid(self) -> dict[str, PaidRecord]:
        return {key: parse_paid(body) for key, body in self.rows.items() if key.startswith(PAID)}

    def save_earned(
        self, key: str, record: EarnedRecord, receipt: SignedReceipt | None = None, answer: str | None = None
    ) -> None:
        self._save(key, record, receipt)
        if answer is not None:
            self._answers[key] = answer

    def find_earned(self, key: str) -> EarnedRecord | None:
        return parse_earned(self.rows[key]) if key in self.rows else None

    def list_earned(self) -> dict[str, EarnedRecord]:
        return {key: parse_earned(body) for key, body in self.rows.items() if key.startswith(EARNED)}

    def answer_of(self, key: str) -> str | None:
        return self._answers.get(key)

    def receipts_of(self, key: str) -> list[SignedReceipt]:
        return [parse_signed_receipt(receipt) for receipt in self._receipts.get(key, {}).values()]

    def _save(self, key: str, record: PaidRecord | EarnedRecord, receipt: SignedReceipt | None) -> None:
        self.rows[key] = json.dumps(as_json(record))
        if receipt is not None:
            self._receipts.setdefault(key, {})[record.uses] = json.dumps(as_json(receipt))


class MemoryPoolRecords:
    """Fits `ports.state.PoolRecords`."""

    def __init__(self) -> None:
        self.rows: dict[str, str] = {}

    def save_pool_record(self, key: str, record: object) -> None:
        self.rows[key] = json.dumps(as_json(record))

    def find_pool_record(self, key: str, kind: type[Record]) -> Record | None:
        return parse_record(self.rows[key], kind) if key in self.rows else None

    def pool_records_with(self, prefix: str, kind: type[Record]) -> dict[str, Record]:
        return {key: parse_record(body, kind) for key, body in self.rows.items() if key.startswith(prefix)}

    def remove_pool_record(self, key: str) -> None:
        self.rows.pop(key, None)


class MemoryFederationRecords:
    """Fits `ports.state.FederationRecords`."""

    def __init__(self) -> None:
        self.rows: dict[str, str] = {}

    def save_federation(self, federation: Federation) -> None:
        self.rows[federation.federation_id] = json.dumps(as_json(federation))

    def find_federation(self, federation_id: str) -> Federation:
        return parse_federation(self.rows[_only(self.rows, federation_id, _names_of(self.rows))])

    def list_federations(self) -> list[Federation]:
        return [parse_federation(body) for body in self.rows.values()]


class MemorySealedOrders:
    """Fits `ports.state.SealedOrders`."""

    def __init__(self) -> None:
        self.secrets: dict[str, str] = {}
        self.keys: dict[str, str] = {}

    def save_order_secret(self, reference: str, sealed: str) -> None:
        self.secrets[reference] = sealed

    def find_order_secret(self, reference: str) -> str | None:
        return self.secrets.get(reference)

    def save_order_key(self, key_hash: str, sealed: str) -> None:
        self.keys[key_hash] = sealed

    def find_order_key(self, key_hash: str) -> str | None:
        return self.keys.get(key_hash)


class MemoryManifests:
    """Fits `ports.state.Manifests`."""

    def __init__(self) -> None:
        self.rows: dict[str, bytes] = {}

    def save_manifest(self, adapter_id: str, raw: bytes) -> None:
        self.rows[adapter_id] = raw

    def find_manifest(self, adapter_id: str) -> bytes | None:
        return self.rows.get(adapter_id)


class MemoryFirstStarts:
    """Fits `ports.state.FirstStarts`."""

    def __init__(self) -> None:
        self.rows: dict[str, str] = {}

    def save_first_start(self, made: str, state: str) -> None:
        self.rows[made] = state

    def find_first_start(self, made: str) -> str | None:
        return self.rows.get(made)


class MemorySettings:
    """Fits `ports.state.Settings`."""

    def __init__(self) -> None:
        self.rows: dict[str, str] = {}

    def get_setting(self, name: str) -> str | None:
        return self.rows.get(name)

    def set_setting(self, name: str, value: str) -> None:
        self.rows[name] = value


@dataclass(frozen=True)
class MemoryStore:
    """Fits `ports.state.State`."""

    works: MemoryWorks = field(default_factory=MemoryWorks)
    jobs: MemoryJobs = field(default_factory=MemoryJobs)
    adapters: MemoryAdapters = field(default_factory=MemoryAdapters)
    announcements: MemoryAnnouncementRows = field(default_factory=MemoryAnnouncementRows)
    outbox: MemoryOutbox = field(default_factory=MemoryOutbox)
    channels: MemoryChannels = field(default_factory=MemoryChannels)
    pool_records: MemoryPoolRecords = field(default_factory=MemoryPoolRecords)
    federations: MemoryFederationRecords = field(default_factory=MemoryFederationRecords)
    sealed_orders: MemorySealedOrders = field(default_factory=MemorySealedOrders)
    manifests: MemoryManifests = field(default_factory=MemoryManifests)
    first_starts: MemoryFirstStarts = field(default_factory=MemoryFirstStarts)
    settings: MemorySettings = field(default_factory=MemorySettings)


def _names_of(federations: dict[str, str]) -> dict[str, str]:
    return {federation_id: json.loads(body).get("name", "") for federation_id, body in federations.items()}


def _only(rows: Any, key: str, names: dict[str, str] | None = None) -> str:
    digits, called = key.lower(), names or {}
    found = (
        [digits]
        if digits in rows
        else [name for name in rows if key and (name.startswith(digits) or called.get(name) == key)]
    )
    if not found:
        raise NotFoundError(f"nothing is called {key!r}")
    if len(found) > 1:
        raise UsageError(f"more than one begins with {key!r}")
    return found[0]


def _refuse_second(rows: Any, key: str) -> None:
    if key in rows:
        raise RefusedError(f"{key} is there already")
