"""One suite for what keeps the node's state: in memory for tests, SQLite for nodes."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import structs

from tests.fakes.federations import new_federation
from tests.fakes.store import MemoryStore
from viz_node.domain.channel import EarnedRecord, PaidRecord
from viz_node.domain.ids import Account, AdapterId, PeerId, TokenAmount, WorkId
from viz_node.domain.job import Job, JobState
from viz_node.domain.orders import BuildBaseOrder
from viz_node.domain.pool import MemberRow
from viz_node.domain.pool_records import JoinedRecord
from viz_node.domain.purposes import BuyLicense
from viz_node.domain.records import AdapterRecord, OutboxEntry
from viz_node.domain.usage import SignedReceipt
from viz_node.domain.work import Rights, Work
from viz_node.errors import NotFoundError, RefusedError, UsageError
from viz_node.ports.state import State
from viz_node.storage.store import Store as SqliteStore

A, B = "a" * 64, "ab" + "c" * 62


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[State]:
    if request.param == "memory":
        yield MemoryStore()
        return
    real = SqliteStore(tmp_path / "node.db")
    yield real
    real.close()


def work(work_id: str, added: int = 1) -> Work:
    notes = ("its encoding was guessed: big5",)
    return Work(WorkId(work_id), "title", "author", Rights.OWNED, "text/plain", 3, 3, "d", "s", added, notes)


def job(job_id: str, created: int = 1) -> Job:
    return Job(job_id, "base_build", JobState.QUEUED, BuildBaseOrder(2**70, "n"), created, created)


def adapter(name: str, adapter_id: str | None = None, created: int = 1) -> AdapterRecord:
    known = None if adapter_id is None else AdapterId(adapter_id)
    return AdapterRecord(name, known, "base", "d", "/d", "trained", (WorkId(A),), manifest=b"m", created=created)


BOUGHT = BuyLicense("buy", "job", adapter="ad", price=2**255)


def entry(tx_hash: str, nonce: int, state: str = "signed", order_id: str = "o") -> OutboxEntry:
    return OutboxEntry(order_id, BOUGHT, state, b"\x02\xff", tx_hash, nonce, "buy it", True, 1, 2)


def test_work__added_and_removed__is_found_by_prefix_only_between(store: State) -> None:
    store.works.add_work(work(B, added=2), "/sealed/b")
    store.works.add_work(work(A), Path("/sealed/a"))
    assert store.works.list_works() == [work(A), work(B, added=2)]
    assert store.works.find_work("aa") == work(A)
    with pytest.raises(UsageError):
        store.works.find_work("a")
    with pytest.raises(RefusedError):
        store.works.add_work(work(A), "/again")
    assert store.works.remove_work("aa") == Path("/sealed/a")
    for name in ("aa", ""):
        with pytest.raises(NotFoundError):
            store.works.find_work(name)
    with pytest.raises(NotFoundError):
        store.works.remove_work(A)


def test_work__capitals_or_title__is_found_and_several_are_listed(store: State) -> None:
    for item in (replace(work(A), title="The Lamp"), replace(work(B), title="Harbour")):
        store.works.add_work(item, "/sealed")
    assert (
        store.works.find_work("AA").work_id
        == store.works.find_work("The Lamp").work_id
        == store.works.find_work(A.upper()).work_id
        == A
    )
    with pytest.raises(NotFoundError):
        store.works.find_work("the lamp")
    store.works.add_work(replace(work("c" * 64), title="Harbour"), "/sealed")
    store.works.add_work(replace(work("d" * 64), title=A[:4]), "/sealed")
    for several in ("Harbour", A[:4]):
        with pytest.raises(UsageError, match="more than one"):
            store.works.find_work(several)
        with pytest.raises(UsageError, match="more than one"):
            store.works.remove_work(several)
    assert store.works.find_work(A).work_id == A
    store.works.remove_work("The Lamp")
    assert len(store.works.list_works()) == 3


def test_id__in_capitals__finds_jobs_adapters_and_federations_and_a_name_its_federation(store: State) -> None:
    store.jobs.add_job(job("abcd"))
    store.adapters.save_adapter(adapter("mini", B))
    store.adapters.save_adapter(adapter("BB", A))
    for number, name in enumerate(("duo", "trio", "trio")):
        store.federations.save_federation(structs.replace(new_federation(f"f{number}e"), name=name))
    assert store.jobs.find_job("AB").job_id == "abcd"
    assert store.adapters.find_adapter(B.upper()).name == store.adapters.find_adapter(B[:5].upper()).name == "mini"
    assert store.adapters.find_adapter("BB").name == "BB"
    assert store.federations.find_federation("F0").name == store.federations.find_federation("duo").name == "duo"
    with pytest.raises(UsageError, match="more than one"):
        store.federations.find_federation("trio")


def test_job__saved_again__has_its_last_state_and_newest_come_first(store: State) -> None:
    for item in (job("one"), job("two"), job("old", 0)):
        store.jobs.add_job(item)
    with pytest.raises(RefusedError):
        store.jobs.add_job(job("one"))
    store.jobs.save_job(replace(job("one"), state=JobState.DONE, result={"text": "é"}))
    assert [item.job_id for item in store.jobs.list_jobs()] == ["two", "one", "old"]
    assert store.jobs.find_job("on") == replace(job("one"), state=JobState.DONE, result={"text": "é"})


def test_adapter__by_name_or_id__one_name_per_id(store: State) -> None:
    store.adapters.save_adapter(adapter("plain"))
    store.adapters.save_adapter(adapter("late", A, 5))
    store.adapters.save_adapter(adapter("early", created=0))
    assert [item.name for item in store.adapters.list_adapters()] == ["early", "plain", "late"]
    assert (
        store.adapters.find_adapter("late")
        == store.adapters.find_adapter(A)
        == store.adapters.find_adapter("aaa")
        == adapter("late", A, 5)
    )
    with pytest.raises(RefusedError):
        store.adapters.save_adapter(adapter("other", A))
    store.adapters.save_adapter(replace(adapter("late", A, 5), evaluation={"x": "1"}))
    assert store.adapters.find_adapter("late").evaluation == {"x": "1"}
    with pytest.raises(NotFoundError):
        store.adapters.find_adapter("plai")
    store.adapters.remove_adapter("late")
    store.adapters.remove_adapter("late")
    assert [item.name for item in store.adapters.list_adapters()] == ["early", "plain"]


def test_announcement__lower_or_same_sequence__is_not_kept(store: State) -> None:
    assert store.announcements.save_announcement(B, 2, 100, b"two")
    assert not store.announcements.save_announcement(B, 2, 999, b"same")
    assert not store.announcements.save_announcement(B, 1, 999, b"older")
    assert store.announcements.save_announcement(A, 1, 50, b"a")
    assert store.announcements.list_announcements(49) == [b"two", b"a"]  # first heard first
    assert store.announcements.list_announcements(50) == [b"two"]
    assert store.announcements.list_announcements(100) == []
    assert store.announcements.remove_expired_announcements(50) == 1
    assert store.announcements.list_announcements(49) == [b"two"]


def test_outbox__several_of_one_order__pending_by_nonce_and_all_by_age(store: State) -> None:
    assert not store.outbox.has_transactions()
    store.outbox.add_outbox(entry("0x2", 7))
    store.outbox.add_outbox(entry("0x1", 3))
    store.outbox.add_outbox(entry("0x3", 5, order_id="p"))
    with pytest.raises(RefusedError):
        store.outbox.add_outbox(entry("0x1", 9))
    store.outbox.save_outbox(entry("0x2", 7, "final"))
    store.outbox.save_outbox(entry("0x1", 3, "unknown"))
    assert store.outbox.pending_outbox() == [entry("0x1", 3, "unknown"), entry("0x3", 5, order_id="p")]
    assert [item.tx_hash for item in store.outbox.outbox_of("o")] == ["0x2", "0x1"]
    assert store.outbox.outbox_of("q") == []
    assert store.outbox.has_transactions()


def test_federation_and_setting__saved__are_copies(store: State) -> None:
    federation = new_federation("f1")
    store.federations.save_federation(federation)
    store.federations.find_federation("f1").joined.clear()
    assert store.federations.find_federation("f") == federation
    assert store.federations.list_federations() == [federation]
    with pytest.raises(NotFoundError):
        store.federations.find_federation("g")
    assert store.settings.get_setting("s") is None
    store.settings.set_setting("s", "1")
    store.settings.set_setting("s", "2")
    assert store.settings.get_setting("s") == "2"


ANN = Account("0x" + "11" * 20)
PAID = PaidRecord(None, A, 3, TokenAmount(2**62), ANN, "0a", PeerId("peer"), str(2**255))
EARNED = EarnedRecord(A, PeerId("peer"), 4, 2**127, "0b", "0c", ((4, "0d"),), "0x" + "11" * 20)


def receipt(uses: int) -> SignedReceipt:
    return SignedReceipt("0e", 7, uses, A, "0f", "10", "11")


def test_channel__saved_with_receipts__are_found_by_side_and_a_receipt_once_per_use(store: State) -> None:
    store.channels.save_paid("pay:one", PAID)
    store.channels.save_earned("earn:7", EARNED)
    for uses in (1, 2, 2):
        store.channels.save_paid("pay:one", replace(PAID, number=7, uses=uses, tree=((uses, "0d"),)), receipt(uses))
    paid = replace(PAID, number=7, uses=2, tree=((2, "0d"),))
    assert store.channels.find_paid("pay:one") == paid
    assert store.channels.list_paid() == {"pay:one": paid}
    assert store.channels.list_earned() == {"earn:7": EARNED}
    assert store.channels.receipts_of("pay:one") == [receipt(1), receipt(2)]
    assert store.channels.receipts_of("earn:7") == []


def test_channel__saved_with_an_answer__keeps_the_last_one_until_there_is_another(store: State) -> None:
    store.channels.save_earned("earn:7", replace(EARNED, uses=1), receipt(1), "first")
    store.channels.save_earned("earn:70", EARNED)
    store.channels.save_earned("earn:7", replace(EARNED, uses=1, root="ff"))
    found = store.channels.find_earned("earn:7")
    assert (found, store.channels.answer_of("earn:7")) == (replace(EARNED, uses=1, root="ff"), "first")
    store.channels.save_earned("earn:7", replace(EARNED, uses=2), receipt(2), "second")
    assert store.channels.answer_of("earn:7") == "second"
    assert (store.channels.find_earned("earn:70"), store.channels.answer_of("earn:70")) == (EARNED, None)
    assert (store.channels.find_earned("earn:"), store.channels.answer_of("earn:")) == (None, None)
    assert store.channels.find_paid("pay:") is None


def test_pool_record__removed__leaves_those_whose_keys_begin_alike(store: State) -> None:
    records, kind = store.pool_records, JoinedRecord
    joined = {number: JoinedRecord(MemberRow(number, ANN, 5, "0a"), ()) for number in (1, 12, 2)}
    for adapter, record in joined.items():
        records.save_pool_record(f"joined/1/{adapter}", record)
    told = replace(joined[2], told=(PeerId("peer"),), left=True)
    records.save_pool_record("joined/1/2", told)
    records.remove_pool_record("joined/1/1")
    assert records.find_pool_record("joined/1/2", kind) == told
    assert records.find_pool_record("joined/1/1", kind) is records.find_pool_record("joined/1/", kind) is None
    assert records.pool_records_with("joined/1/", kind) == {"joined/1/12": joined[12], "joined/1/2": told}


def test_sealed_order__secret_and_key_of_one_id__are_two_rows(store: State) -> None:
    orders = store.sealed_orders
    assert orders.find_order_secret(A) is orders.find_order_key(A) is None
    orders.save_order_secret(A, "01")
    assert (orders.find_order_secret(A), orders.find_order_key(A)) == ("01", None)
    orders.save_order_key(A, "02")
    orders.save_order_key(B, "03")
    assert (orders.find_order_secret(A), orders.find_order_key(A), orders.find_order_key(B)) == ("01", "02", "03")


def test_manifest_and_first_start__saved_again__are_replaced(store: State) -> None:
    assert store.manifests.find_manifest(A) is store.first_starts.find_first_start("sample") is None
    for raw, state in ((b"{}", "wanted"), ("{ü}".encode(), "over")):
        store.manifests.save_manifest(A, raw)
        store.first_starts.save_first_start("sample", state)
    assert store.manifests.find_manifest(A) == "{ü}".encode()
    assert store.first_starts.find_first_start("sample") == "over"
    assert store.manifests.find_manifest(A[:9]) is store.settings.get_setting("sample") is None
