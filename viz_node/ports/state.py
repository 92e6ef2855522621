"""Durable state: what a node knows after a restart, one Protocol per table.

Every call is one transaction. `find_…` with an id raises NotFoundError; jobs come newest first. A use case that needs
one table takes it; one that needs several takes a Protocol made of the `With…` below.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from viz_node.domain.channel import EarnedRecord, PaidRecord
from viz_node.domain.federation import Federation
from viz_node.domain.job import Job
from viz_node.domain.orders import Order
from viz_node.domain.pool_records import Record
from viz_node.domain.records import AdapterRecord, OutboxEntry
from viz_node.domain.usage import SignedReceipt
from viz_node.domain.work import Work


class Works(Protocol):
    """The owner's works, and where their sealed texts lie."""

    def add_work(self, work: Work, sealed_path: str | Path) -> None: ...
    def list_works(self) -> list[Work]: ...
    def find_work(self, work_id: str) -> Work: ...
    def remove_work(self, work_id: str) -> Path: ...


class Jobs(Protocol):
    """Jobs: their orders and their progress."""

    def add_job(self, job: Job[Order]) -> None: ...
    def save_job(self, job: Job[Order]) -> None: ...
    def find_job(self, job_id: str) -> Job[Order]: ...
    def list_jobs(self) -> list[Job[Order]]: ...


class Adapters(Protocol):
    """The library of adapters, made here or fetched."""

    def save_adapter(self, record: AdapterRecord) -> None: ...
    def find_adapter(self, name: str) -> AdapterRecord: ...
    def list_adapters(self) -> list[AdapterRecord]: ...
    def remove_adapter(self, name: str) -> None: ...


class AnnouncementRows(Protocol):
    """Announcements of peers."""

    def save_announcement(self, key: str, sequence: int, expires: int, raw: bytes) -> bool: ...
    def list_announcements(self, now: int) -> list[bytes]: ...
    def remove_expired_announcements(self, now: int) -> int: ...


class Outbox(Protocol):
    """Transactions that this node has signed."""

    def add_outbox(self, entry: OutboxEntry) -> None: ...
    def save_outbox(self, entry: OutboxEntry) -> None: ...
    def pending_outbox(self) -> list[OutboxEntry]: ...
    def outbox_of(self, order_id: str) -> list[OutboxEntry]: ...
    def has_transactions(self) -> bool: ...


class Channels(Protocol):
    """Channels for paid uses, with their receipts; those that this node pays for, and those that it earns from."""

    def save_paid(self, key: str, record: PaidRecord, receipt: SignedReceipt | None = None) -> None: ...
    def find_paid(self, key: str) -> PaidRecord | None: ...
    def list_paid(self) -> dict[str, PaidRecord]: ...
    def save_earned(
        self, key: str, record: EarnedRecord, receipt: SignedReceipt | None = None, answer: str | None = None
    ) -> None: ...
    def find_earned(self, key: str) -> EarnedRecord | None: ...
    def list_earned(self) -> dict[str, EarnedRecord]: ...
    def answer_of(self, key: str) -> str | None: ...
    def receipts_of(self, key: str) -> list[SignedReceipt]: ...


class PoolRecords(Protocol):
    """What the node knows of pools: records of `domain/pool_records.py`."""

    def save_pool_record(self, key: str, record: object) -> None: ...
    def find_pool_record(self, key: str, kind: type[Record]) -> Record | None: ...
    def pool_records_with(self, prefix: str, kind: type[Record]) -> dict[str, Record]: ...
    def remove_pool_record(self, key: str) -> None: ...


class FederationRecords(Protocol):
    """Federations that this node knows, and what they agreed on."""

    def save_federation(self, federation: Federation) -> None: ...
    def find_federation(self, federation_id: str) -> Federation: ...
    def list_federations(self) -> list[Federation]: ...


class SealedOrders(Protocol):
    """Secrets of placed orders by reference, and the keys that they brought by hash; sealed, in hex."""

    def save_order_secret(self, reference: str, sealed: str) -> None: ...
    def find_order_secret(self, reference: str) -> str | None: ...
    def save_order_key(self, key_hash: str, sealed: str) -> None: ...
    def find_order_key(self, key_hash: str) -> str | None: ...


class Manifests(Protocol):
    """Signed manifests of other nodes' adapters."""

    def save_manifest(self, adapter_id: str, raw: bytes) -> None: ...
    def find_manifest(self, adapter_id: str) -> bytes | None: ...


class FirstStarts(Protocol):
    """How far this home's first start came, by what it makes."""

    def save_first_start(self, made: str, state: str) -> None: ...
    def find_first_start(self, made: str) -> str | None: ...


class Settings(Protocol):
    """Single values that belong to the home."""

    def get_setting(self, name: str) -> str | None: ...
    def set_setting(self, name: str, value: str) -> None: ...


class WithWorks(Protocol):
    """State with this table."""

    @property
    def works(self) -> Works: ...


class WithJobs(Protocol):
    """State with this table."""

    @property
    def jobs(self) -> Jobs: ...


class WithAdapters(Protocol):
    """State with this table."""

    @property
    def adapters(self) -> Adapters: ...


class WithOutbox(Protocol):
    """State with this table."""

    @property
    def outbox(self) -> Outbox: ...


class WithChannels(Protocol):
    """State with this table."""

    @property
    def channels(self) -> Channels: ...


class WithPoolRecords(Protocol):
    """State with this table."""

    @property
    def pool_records(self) -> PoolRecords: ...


class WithFederations(Protocol):
    """State with this table."""

    @property
    def federations(self) -> FederationRecords: ...


class WithSettings(Protocol):
    """State with this table."""

    @property
    def settings(self) -> Settings: ...


class WithManifests(Protocol):
    """State with this table."""

    @property
    def manifests(self) -> Manifests: ...


class WithFirstStarts(Protocol):
    """State with this table."""

    @property
    def first_starts(self) -> FirstStarts: ...


@dataclass
class State:
    """All tables; only what puts a node together takes it."""

    works: Works
    jobs: Jobs
    adapters: Adapters
    announcements: AnnouncementRows
    outbox: Outbox
    channels: Channels
    pool_records: PoolRecords
    federations: FederationRecords
    settings: Settings
    sealed_orders: SealedOrders
    manifests: Manifests
    first_starts: FirstStarts
