"""The store gives back what it was given, after a reopen too, and refuses what would lose data."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.federations import new_federation
from viz_node.domain.channel import EarnedRecord, PaidRecord
from viz_node.domain.ids import Account, AdapterId, PeerId, TokenAmount, WorkId
from viz_node.domain.job import Job, JobState
from viz_node.domain.orders import BuildBaseOrder
from viz_node.domain.purposes import BuyLicense, Purpose
from viz_node.domain.records import AdapterRecord, OutboxEntry
from viz_node.domain.work import Rights, Work
from viz_node.errors import NotFoundError, RefusedError, UsageError, VerificationError
from viz_node.storage.database import Database
from viz_node.storage.schema import MIGRATIONS
from viz_node.storage.store import Store

A, B = "a" * 64, "ab" * 32


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@pytest.fixture
def store(path: Path) -> Store:
    return Store(path)


def work(work_id: str, added: int = 1) -> Work:
    return Work(WorkId(work_id), "Title ü", "Ann", Rights.OWNED, "text/plain", 10, 9, "d" * 64, "5" * 32, added)


def job(job_id: str, created: int = 1) -> Job:
    return Job(job_id, "base_build", JobState.QUEUED, BuildBaseOrder(1, "tiny"), created, created)


def adapter(name: str, adapter_id: str | None = None) -> AdapterRecord:
    return AdapterRecord(
        name=name,
        adapter_id=AdapterId(adapter_id) if adapter_id else None,
        base_name="tiny",
        base_digest="b" * 64,
        directory="/x",
        origin="trained",
        works=(WorkId(A),),
        training={"steps": 3},
        evaluation={"perplexity_after": "2.50"},
        parents=(AdapterId(B),),
        sealed_key="00",
        manifest=b"\x00\xff",
        created=5,
    )


def entry(tx_hash: str, nonce: int, state: str = "signed", kind: str = "buy") -> OutboxEntry:
    return OutboxEntry("order", Purpose(kind, "job"), state, b"\x02\xf8", tx_hash, nonce, "", False, 1, 2)


def test_store__reopened__has_every_record(path: Path, store: Store) -> None:
    store.works.add_work(work(A), "/sealed/a")
    store.jobs.add_job(job("j1"))
    store.adapters.save_adapter(adapter("one", A))
    store.announcements.save_announcement(A, 1, 100, b"raw")
    store.outbox.add_outbox(entry("0x1", 4))
    store.federations.save_federation(new_federation("f1"))
    store.settings.set_setting("chain", "dev")
    store.close()

    store = Store(path)
    assert store.works.list_works() == [work(A)]
    assert store.jobs.list_jobs() == [job("j1")]
    assert store.adapters.list_adapters() == [adapter("one", A)]
    assert store.announcements.list_announcements(1) == [b"raw"]
    assert store.outbox.pending_outbox() == [entry("0x1", 4)]
    assert store.federations.list_federations() == [new_federation("f1")] == [store.federations.find_federation("f1")]
    assert store.settings.get_setting("chain") == "dev"
    assert store.settings.get_setting("other") is None
    assert path.stat().st_mode & 0o077 == 0


def test_find_work__prefix__must_be_unique(store: Store) -> None:
    store.works.add_work(work(A), "/a")
    store.works.add_work(work(B), "/b")
    assert store.works.find_work("aa") == work(A)
    assert store.works.find_work(B) == work(B)
    with pytest.raises(UsageError):
        store.works.find_work("a")
    for text in ("", "c", "%", "*", "_a", A + "0"):
        with pytest.raises(NotFoundError):
            store.works.find_work(text)


def test_find_job__id_is_prefix_of_another__exact_one_wins(store: Store) -> None:
    store.jobs.add_job(job("j1"))
    store.jobs.add_job(job("j12", 2))
    assert store.jobs.find_job("j1").job_id == "j1"
    assert [item.job_id for item in store.jobs.list_jobs()] == ["j12", "j1"]


def test_add_work__same_id__refused(store: Store) -> None:
    store.works.add_work(work(A), "/a")
    with pytest.raises(RefusedError):
        store.works.add_work(work(A, 9), "/other")
    assert store.works.list_works() == [work(A)]
    assert store.works.remove_work(A) == Path("/a")


def test_remove_work__prefix__returns_sealed_path(store: Store) -> None:
    store.works.add_work(work(A), "/a")
    assert store.works.remove_work("aaa") == Path("/a")
    assert store.works.list_works() == []
    with pytest.raises(NotFoundError):
        store.works.remove_work(A)


def test_save_job__new_state__replaces(store: Store) -> None:
    store.jobs.add_job(job("j1"))
    done = replace(job("j1"), state=JobState.DONE, result={"directory": "/x"}, updated=9)
    store.jobs.save_job(done)
    assert store.jobs.list_jobs() == [done]
    with pytest.raises(RefusedError):
        store.jobs.add_job(job("j1"))


def test_find_adapter__name_id_or_prefix__finds(store: Store) -> None:
    store.adapters.save_adapter(adapter("one", A))
    store.adapters.save_adapter(adapter("two", B))
    store.adapters.save_adapter(adapter("draft"))
    assert store.adapters.find_adapter("one").adapter_id == A
    assert store.adapters.find_adapter(B).name == "two"
    assert store.adapters.find_adapter("aba").name == "two"
    with pytest.raises(UsageError):
        store.adapters.find_adapter("a")
    with pytest.raises(NotFoundError):
        store.adapters.find_adapter("")
    with pytest.raises(NotFoundError):
        store.adapters.find_adapter("dra")


def test_save_adapter__name_or_id_taken__replaces_or_refuses(store: Store) -> None:
    store.adapters.save_adapter(adapter("one"))
    store.adapters.save_adapter(adapter("one", A))
    assert store.adapters.list_adapters() == [adapter("one", A)]
    with pytest.raises(RefusedError):
        store.adapters.save_adapter(adapter("two", A))
    with pytest.raises(UsageError):
        store.adapters.save_adapter(replace(adapter("three"), origin="stolen"))
    assert store.adapters.list_adapters() == [adapter("one", A)]


@given(st.lists(st.integers(0, 5), min_size=1, max_size=6))
def test_save_announcement__any_order__keeps_highest_sequence(sequences: list[int]) -> None:
    store = Store(Path("/dev/shm") / f"viz-{id(sequences)}.db")
    try:
        best = -1
        for sequence in sequences:
            assert store.announcements.save_announcement(A, sequence, 100, str(sequence).encode()) == (sequence > best)
            best = max(best, sequence)
        assert store.announcements.list_announcements(1) == [str(max(sequences)).encode()]
    finally:
        store.close()
        for file in Path("/dev/shm").glob(f"viz-{id(sequences)}.db*"):
            file.unlink()


def test_list_announcements__expired__left_out_and_removable(store: Store) -> None:
    store.announcements.save_announcement(A, 1, 100, b"old")
    store.announcements.save_announcement(B, 1, 200, b"new")
    assert store.announcements.list_announcements(99) == [b"old", b"new"]
    assert store.announcements.list_announcements(100) == [b"new"]
    assert store.announcements.remove_expired_announcements(100) == 1
    assert store.announcements.list_announcements(0) == [b"new"]


def test_pending_outbox__mixed_states__open_ones_by_nonce(store: Store) -> None:
    for item in (entry("0x3", 3, "unknown"), entry("0x1", 1, "sent"), entry("0x2", 2, "final", "claim")):
        store.outbox.add_outbox(item)
    store.outbox.add_outbox(entry("0x4", 0))
    store.outbox.save_outbox(replace(entry("0x4", 0), state="failed"))
    assert [item.nonce for item in store.outbox.pending_outbox()] == [1, 3]
    assert len(store.outbox.outbox_of("order")) == 4
    with pytest.raises(RefusedError):
        store.outbox.add_outbox(entry("0x1", 9))
    with pytest.raises(UsageError):
        store.outbox.save_outbox(entry("0x9", 9, "lost"))


def test_store__of_the_version_before__channels_and_their_last_answers_are_kept(path: Path) -> None:
    database = Database(path, MIGRATIONS[:3])
    tree = [[2, "0d"], [1, "0e"]]
    earned = {"adapter_id": A, "peer_id": "p", "uses": 2, "cumulative": 9, "root": "0b", "signature": "0c",
              "tree": tree, "answer": "sealed"}  # fmt: skip
    paid = {"number": 7, "adapter_id": A, "offer_id": 3, "price": 5, "session": "0x1", "key": "0a", "uses": 3,
            "tree": tree, "asked": ["ab"], "closed": True}  # fmt: skip
    rows = {"earn:7": earned, "pay:j1": paid}
    for key, body in rows.items():
        database.execute("INSERT INTO channels VALUES (?, ?)", (key, json.dumps(body)))
    database.close()
    store = Store(path)
    peaks = ((2, "0d"), (1, "0e"))
    assert store.channels.find_earned("earn:7") == EarnedRecord(A, PeerId("p"), 2, 9, "0b", "0c", peaks)
    assert store.channels.answer_of("earn:7") == "sealed"
    session, price = Account("0x1"), TokenAmount(5)
    assert store.channels.find_paid("pay:j1") == PaidRecord(7, A, 3, price, session, "0a", uses=3, tree=peaks)
    assert store.channels.answer_of("pay:j1") is None


def test_channel__row_that_was_changed_by_another_hand__says_so(path: Path) -> None:
    database = Database(path, MIGRATIONS)
    for key in ("pay:j1", "earn:7"):
        database.execute("INSERT INTO channels (id, body) VALUES (?, ?)", (key, '{"uses": "two"}'))
    database.execute("INSERT INTO receipts VALUES ('pay:j1/1', 'pay:j1', '[]')", ())
    database.close()
    channels = Store(path).channels
    for read in (channels.list_paid, channels.list_earned, lambda: channels.receipts_of("pay:j1")):
        with pytest.raises(VerificationError, match="malformed"):
            read()


def test_store__works_of_earlier_versions__listed_without_notes_whatever_their_titles_hold(path: Path) -> None:
    body = {"title": "gr\udcfcn", "author": "a", "rights": "owned", "media_type": "text/plain", "size_bytes": 1,
            "characters": 1, "digest": "d", "salt": "s", "added": 1}  # fmt: skip
    database = Database(path, MIGRATIONS)
    values = (A, 1, "/sealed", json.dumps(body | {"work_id": A}))
    database.execute("INSERT INTO works VALUES (?, ?, ?, ?)", values)
    database.close()
    (work,) = Store(path).works.list_works()
    assert (work.title, work.notes) == ("gr\udcfcn", ())


OLD_SETTINGS = {
    f"order-secret:{A}": "0a",
    f"order-key:{B}": "0b",
    f"manifest:{A}": '{"name":"ü"}',
    "sample": "wanted",
    "market": "31337/0x1",
    "sample-rate": "1",
}
KILLED = """
import os, signal, sqlite3, sys
from pathlib import Path
from viz_node.storage.store import Store

class Deadly(sqlite3.Connection):
    left = None
    def execute(self, sql, *values):
        self.left = int(sys.argv[2]) if sql == "BEGIN IMMEDIATE" else self.left
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self.left = self.left and self.left - 1
        return super().execute(sql, *values)

connect = sqlite3.connect
sqlite3.connect = lambda *values, **options: connect(*values, factory=Deadly, **options)
Store(Path(sys.argv[1])).close()
"""


def make_home_of_version_6(path: Path) -> None:
    database = Database(path, MIGRATIONS[:6])
    for row in OLD_SETTINGS.items():
        database.execute("INSERT INTO settings VALUES (?, ?)", row)
    database.close()


def check_rows_moved(path: Path) -> None:
    store = Store(path)
    assert (store.sealed_orders.find_order_secret(A), store.sealed_orders.find_order_key(B)) == ("0a", "0b")
    assert store.manifests.find_manifest(A) == '{"name":"ü"}'.encode()
    assert store.first_starts.find_first_start("sample") == "wanted"
    left = {name: store.settings.get_setting(name) for name in OLD_SETTINGS}
    assert {name: value for name, value in left.items() if value} == {"market": "31337/0x1", "sample-rate": "1"}
    store.close()


def test_store__of_version_6__has_what_stood_among_the_settings_in_tables_of_its_own(path: Path) -> None:
    make_home_of_version_6(path)
    check_rows_moved(path)
    check_rows_moved(path)


def test_store__killed_at_any_statement_of_the_migration__next_start_has_every_row(path: Path) -> None:
    killed = 0
    for statement in range(1, 40):
        home = path.with_name(f"{statement}.db")
        make_home_of_version_6(home)
        ended = subprocess.run([sys.executable, "-c", KILLED, str(home), str(statement)], check=False)
        if ended.returncode == 0:
            break
        assert ended.returncode == -9
        killed += 1
        check_rows_moved(home)
    assert killed == 11  # nine statements, the version and the commit


def test_outbox__row_of_an_earlier_version__is_read_and_its_names_stay(path: Path, store: Store) -> None:
    detail = {"adapter": "ad", "name": "poems", "price": 5, "job": "j1", "kind": "buy", "permit": True}
    detail |= {"description": "buy it", "shown": True}
    body = {"order_id": "buy:j1", "kind": "buy", "state": "confirmed", "tx_hash": "0x1", "nonce": 4, "detail": detail}
    body |= {"created": 1, "updated": 2, "block": 3, "block_hash": "0xb"}
    row = ("0x1", "buy:j1", "buy", "confirmed", 4, 1, b"raw", json.dumps(body))
    store.close()
    database = Database(path, MIGRATIONS)
    columns = "id, order_id, kind, state, nonce, created, raw, body"
    database.execute(f"INSERT INTO outbox ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
    database.close()

    store = Store(path)
    (known,) = store.outbox.pending_outbox()
    store.outbox.save_outbox(known)
    store.close()
    ((written,),) = Database(path, MIGRATIONS).query("SELECT body FROM outbox", ())
    del detail["name"]

    assert known.purpose == BuyLicense("buy", "j1", permit=True, adapter="ad", price=5)
    assert (known.description, known.was_shown, known.block_hash) == ("buy it", True, "0xb")
    assert json.loads(written) == body
