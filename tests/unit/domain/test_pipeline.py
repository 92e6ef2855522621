"""What to do about an order's transaction: each branch, then any course that chain, pool and crashes may take."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from viz_node.domain.pipeline import (
    MOST_ATTEMPTS,
    Blocks,
    Book,
    Look,
    Raise,
    Rest,
    Seen,
    Send,
    Step,
    free_nonce,
    leading,
    may_sign,
    newest_attempts,
    next_attempt,
    next_step,
    overdue,
)
from viz_node.domain.purposes import Purpose
from viz_node.domain.records import PENDING_OUTBOX_STATES, OutboxEntry
from viz_node.domain.transaction import Heads, Receipt, SignedTransaction

HEADS = Heads(latest=100, shown=98, booked=95)
PATIENCE = 4
IN_A_BLOCK = ("mined", "confirmed", "reverted", "final")


def attempt(state: str = "sent", tx_hash: str = "0xa", block: int = 100, block_hash: str = "") -> OutboxEntry:
    return OutboxEntry("order", Purpose("pay"), state, b"raw", tx_hash, 7, block=block, block_hash=block_hash)


def seen(receipt: Receipt | None = None, booked_nonce: int = 7, **more: int) -> Seen:
    return Seen(Blocks(HEADS, booked_nonce, receipt), **more)


def in_block(block: int, status: int = 1, tx_hash: str = "0xa") -> Receipt:
    return Receipt(status, tx_hash, block, f"hash of {block}")


def step(known: Seen, *attempts: OutboxEntry) -> Step:
    return next_step(attempts, known, PATIENCE)


def test_next_step__nothing_is_known__asks_for_blocks_first() -> None:
    assert step(Seen(), attempt()) is Look.BLOCKS


@pytest.mark.parametrize("state", ["final", "failed"])
def test_next_step__order_has_ended__rests_without_a_question(state: str) -> None:
    ended = attempt(state, block_hash="there")

    assert step(Seen(), attempt("replaced", "0xb"), ended) == Rest(ended)


@pytest.mark.parametrize("state", ["final", "failed"])
def test_next_step__killed_while_the_end_was_written_down__ends_the_other_attempts(state: str) -> None:
    ended, open_one, stale = (
        attempt(state, block_hash="there"),
        attempt("signed", "0xb"),
        attempt("mined", "0xc", 99, "x"),
    )

    assert step(Seen(), ended, open_one, stale) == Book(
        (replace(open_one, state="replaced"), replace(stale, state="replaced", block_hash=""))
    )


@pytest.mark.parametrize(
    ("block", "status", "state"),
    [
        (95, 1, "final"),
        (95, 0, "failed"),
        (96, 1, "confirmed"),
        (96, 0, "reverted"),
        (98, 1, "confirmed"),
        (99, 1, "mined"),
        (99, 0, "reverted"),
    ],
)
def test_next_step__in_a_block__is_believed_as_far_as_the_block_is(block: int, status: int, state: str) -> None:
    told = step(seen(in_block(block, status)), attempt("unknown"))

    assert isinstance(told, Book)
    (entry,) = told.entries
    assert (entry.state, entry.block, entry.block_hash, told.undone) == (state, block, f"hash of {block}", None)
    assert entry.was_shown == (state in ("confirmed", "final"))


def test_next_step__in_the_block_that_is_written_down__rests() -> None:
    mined = attempt("mined", block=99, block_hash="hash of 99")

    assert step(seen(in_block(99)), mined, attempt(tx_hash="0xb")) == Rest(mined)


def test_next_step__another_attempt_is_in_a_block_now__the_first_waits_again() -> None:
    before, now = attempt("mined", block=98, block_hash="gone"), attempt(tx_hash="0xb")
    told = step(seen(in_block(99, tx_hash="0xb")), before, now)

    assert isinstance(told, Book)
    assert [(one.tx_hash, one.state, one.block_hash) for one in told.entries] == [
        ("0xb", "mined", "hash of 99"),
        ("0xa", "sent", ""),
    ]


@pytest.mark.parametrize("shown", [True, False])
def test_next_step__refused_in_a_booked_block__is_undone_if_it_was_shown(shown: bool) -> None:
    entry = replace(attempt(), was_shown=shown)
    told = step(seen(in_block(90, status=0)), entry)

    assert isinstance(told, Book)
    assert told.undone == (entry if shown else None)


def test_next_step__nonce_is_spent_without_a_receipt__asks_again_before_it_gives_up() -> None:
    entry, known = replace(attempt(), was_shown=True), seen(booked_nonce=8)
    assert known.blocks is not None
    sure = replace(known, blocks=replace(known.blocks, is_second=True))

    assert step(known, entry) is Look.BLOCKS_AGAIN
    assert step(sure, entry) == Book((replace(entry, state="failed"),), undone=entry)
    assert step(sure, attempt()) == Book((attempt("failed"),))


def test_next_step__block_is_gone__waits_again_and_is_not_late() -> None:
    entry = attempt("confirmed", block=90, block_hash="gone")

    assert step(seen(), entry) == Book((attempt("sent", block=100),), gone=entry)


def test_next_step__in_no_block__asks_for_the_pool() -> None:
    assert step(seen(), attempt("signed")) is Look.PENDING


@pytest.mark.parametrize("pending_nonce", [7, 8])
def test_next_step__signed_and_perhaps_sent__is_sent(pending_nonce: int) -> None:
    entry = attempt("signed", block=0)

    assert step(seen(pending_nonce=pending_nonce), entry) == Send(entry, attempt("sent"), range(pending_nonce, 7))


def test_next_step__the_pool_forgot_it_and_earlier_ones__sends_all_as_they_were() -> None:
    assert step(seen(pending_nonce=5), attempt("unknown")) == Send(attempt("unknown"), attempt("unknown"), range(5, 7))


def test_next_step__waits_for_few_blocks__rests() -> None:
    assert step(seen(pending_nonce=8), attempt(block=97)) == Rest(attempt(block=97))


def test_next_step__waits_for_many_blocks__raises_the_fees_unless_it_was_mined_just_now() -> None:
    late = attempt(block=96)

    assert step(seen(pending_nonce=8), late) is Look.MINED
    assert step(seen(pending_nonce=8, mined_nonce=7), late) == Raise(late, HEADS)
    assert step(seen(pending_nonce=8, mined_nonce=8), late) == Rest(late)


def test_next_step__as_often_raised_as_allowed__rests() -> None:
    attempts = [attempt(tx_hash=f"0x{number}", block=0) for number in range(MOST_ATTEMPTS)]

    assert step(seen(pending_nonce=8), *attempts) == Rest(attempts[-1])
    assert step(seen(pending_nonce=8), *attempts[1:]) is Look.MINED


def test_next_attempt__of_another_nonce_or_the_same_bytes__is_refused() -> None:
    for signed in (SignedTransaction(b"", "0xb", 8), SignedTransaction(b"", "0xa", 7)):
        with pytest.raises(ValueError, match="nonce"):
            next_attempt(attempt(), signed, HEADS)


def test_overdue__in_a_block__stays_there() -> None:
    mined = attempt("mined", block_hash="there")

    assert (overdue(mined), overdue(attempt()).state) == (mined, "unknown")


def test_may_sign__only_what_failed_wholly() -> None:
    failed, waits = attempt("failed", block_hash="there"), attempt(tx_hash="0xb")

    assert may_sign([]) and may_sign([failed]) and may_sign([failed, attempt("replaced", "0xb")])
    assert not may_sign([attempt("reverted", block_hash="there")]) and not may_sign([waits])
    assert not may_sign([failed, waits]) and not may_sign([attempt("final")])


SHOWN_AFTER, BOOKED_AFTER = 1, 3
ELSEWHERE = "elsewhere"
ALL = 99


@dataclass(frozen=True)
class Mined:
    nonce: int
    tx_hash: str
    status: int


@dataclass
class Chain:
    """Blocks of one account's transactions; what is `SHOWN_AFTER` and `BOOKED_AFTER` deep is shown and booked."""

    blocks: list[list[Mined]] = field(default_factory=lambda: [[]])
    forks: int = 0
    names: list[str] = field(default_factory=lambda: ["0.0"])

    def grow(self, *mined: Mined) -> None:
        self.names.append(f"{self.forks}.{len(self.blocks)}")
        self.blocks.append(list(mined))

    @property
    def heads(self) -> Heads:
        latest = len(self.blocks) - 1
        return Heads(latest, latest - SHOWN_AFTER, latest - BOOKED_AFTER)

    def nonce(self, head: int) -> int:
        return sum(len(block) for block in self.blocks[: max(0, head + 1)])

    def receipt(self, tx_hash: str) -> Receipt | None:
        for number, block in enumerate(self.blocks):
            for one in block:
                if one.tx_hash == tx_hash:
                    return Receipt(one.status, tx_hash, number, self.names[number])
        return None


class Course:
    """Two orders, a chain that reorganises what is not booked, a miner who takes any attempt ever sent, a pool that
    forgets, another program with the same account, an endpoint that lags, and a node that may be killed between any
    two writes. Each deed is followed by `check`.
    """

    def __init__(self) -> None:
        self.chain = Chain()
        self.outbox: dict[str, OutboxEntry] = {}
        self.prices: dict[str, int] = {}
        self.heard: set[str] = set()
        self.seen: dict[str, Seen] = {}
        self.ended: dict[str, str] = {}
        self.elsewhere: set[int] = set()

    def of(self, order_id: str) -> list[OutboxEntry]:
        return newest_attempts([entry for entry in self.outbox.values() if entry.order_id == order_id])

    def pending(self) -> list[OutboxEntry]:
        return [entry for entry in self.outbox.values() if entry.state in PENDING_OUTBOX_STATES]

    def sign(self, nonce: int, price: int) -> SignedTransaction:
        tx_hash = f"0x{len(self.prices)}"
        self.prices[tx_hash] = price
        return SignedTransaction(b"", tx_hash, nonce)

    def save(self, entry: OutboxEntry) -> None:
        before = self.outbox[entry.tx_hash]
        assert before.state in PENDING_OUTBOX_STATES
        assert entry.state != "signed"
        assert (before.nonce, before.order_id) == (entry.nonce, entry.order_id)
        self.outbox[entry.tx_hash] = entry

    def pending_nonce(self, forgets: bool) -> int:
        nonce = self.chain.nonce(self.chain.heads.latest)
        while not forgets and any(self.outbox[tx_hash].nonce == nonce for tx_hash in self.heard):
            nonce += 1
        return nonce

    def order(self, order_id: str, forgets: bool) -> None:
        if not may_sign(self.of(order_id)):
            return
        nonce = free_nonce(self.pending_nonce(forgets), self.pending())
        assert all(entry.nonce < nonce for entry in self.pending())
        signed = self.sign(nonce, 100)
        self.outbox[signed.tx_hash] = OutboxEntry(order_id, Purpose("pay"), "signed", b"", signed.tx_hash, nonce)
        self.crash(order_id)  # The treasury signs between two looks, never within one.

    def all_goes_well(self) -> None:
        for order_id in ORDERS:
            self.steps(order_id, 8, ALL, lag=False, forgets=False)

    def crash(self, order_id: str) -> None:
        self.seen.pop(order_id, None)

    def impatience(self, order_id: str) -> None:
        if self.of(order_id) and leading(self.of(order_id)).state in ("signed", "sent"):
            self.save(overdue(leading(self.of(order_id))))

    def steps(self, order_id: str, steps: int, writes: int, lag: bool, forgets: bool) -> None:
        for number in range(steps):
            self.step(order_id, writes if number == steps - 1 else ALL, lag, forgets)

    def step(self, order_id: str, writes: int, lag: bool, forgets: bool) -> None:
        attempts, known = self.of(order_id), self.seen.get(order_id, Seen())
        if not attempts:
            return
        match next_step(attempts, known, 2):
            case Rest():
                self.seen.pop(order_id, None)
            case Look() as question:
                self.seen[order_id] = self.look(question, known, attempts, lag, forgets)
            case Book(entries):
                assert entries
                for entry in entries[:writes]:
                    self.save(entry)
                if writes < len(entries):
                    self.crash(order_id)
            case Send(entry, sent):
                self.heard.add(entry.tx_hash)
                if sent != entry and writes:
                    self.save(sent)
                self.seen[order_id] = replace(known, pending_nonce=entry.nonce + 1)
            case Raise(entry, heads):
                higher = next_attempt(entry, self.sign(entry.nonce, self.prices[entry.tx_hash] + 1), heads)
                self.outbox[higher.tx_hash] = higher

    def look(self, question: Look, known: Seen, attempts: Sequence[OutboxEntry], lag: bool, forgets: bool) -> Seen:
        heads = self.chain.heads
        mined = self.chain.nonce(heads.latest)
        if question is Look.PENDING:
            return replace(known, pending_nonce=self.pending_nonce(forgets))
        if question is Look.MINED:
            return replace(known, mined_nonce=mined)
        is_second = question is Look.BLOCKS_AGAIN
        receipts = [self.chain.receipt(entry.tx_hash) for entry in attempts]
        receipt = next((one for one in receipts if one is not None), None)
        told = None if lag and not is_second else receipt
        return replace(known, blocks=Blocks(heads, self.chain.nonce(heads.booked), told, is_second))

    def mine(self, newest: bool, status: int, later: int) -> None:
        """Any attempt that was ever sent, if its nonce is the next, and then empty blocks."""
        nonce = self.chain.nonce(self.chain.heads.latest)
        fitting = [tx_hash for tx_hash in self.heard if self.outbox[tx_hash].nonce == nonce]
        ordered = sorted(fitting, key=self.prices.__getitem__) or [ELSEWHERE] * (nonce in self.elsewhere)
        self.chain.grow(*([Mined(nonce, ordered[-newest], status)] if ordered else []))
        self.mine_nothing(later)

    def mine_nothing(self, blocks: int) -> None:
        for _ in range(blocks):
            self.chain.grow()

    def spend_elsewhere(self) -> None:
        nonce = self.chain.nonce(self.chain.heads.latest)
        self.elsewhere.add(nonce)
        self.chain.grow(Mined(nonce, ELSEWHERE, 1))

    def reorganise(self, depth: int) -> None:
        depth = min(depth, len(self.chain.blocks) - 1)
        if not depth:
            return
        del self.chain.blocks[-depth:], self.chain.names[-depth:]
        self.chain.forks += 1
        for _ in range(depth):
            self.chain.grow()

    def check(self) -> None:
        """No order is paid twice; attempts share a nonce, and their fees rise; what has ended stays."""
        mined = [one for block in self.chain.blocks for one in block if one.tx_hash != ELSEWHERE]
        paid = [self.outbox[one.tx_hash].order_id for one in mined if one.status]
        assert len(paid) == len(set(paid))
        for order_id in ORDERS:
            attempts = self.of(order_id)
            prices = [self.prices[entry.tx_hash] for entry in attempts]
            assert len({entry.nonce for entry in attempts}) <= 1
            assert prices == sorted(set(prices))
            assert len(attempts) <= MOST_ATTEMPTS
        entries = self.outbox.values()
        assert all(self.outbox[tx_hash].state == state for tx_hash, state in self.ended.items())
        self.ended = {entry.tx_hash: entry.state for entry in entries if entry.state not in PENDING_OUTBOX_STATES}
        for entry in entries:
            assert entry.state == "failed" or bool(entry.block_hash) == (entry.state in IN_A_BLOCK)

    def finish(self) -> None:
        """Left alone on a chain that goes on, every order comes to its end, the one that the chain has."""
        for _ in range(10):
            self.all_goes_well()
            self.mine(newest=True, status=1, later=BOOKED_AFTER)
            self.check()
        self.all_goes_well()
        assert not self.pending()
        for entry in self.outbox.values():
            receipt = self.chain.receipt(entry.tx_hash)
            assert (entry.state == "final") == (receipt is not None and receipt.status == 1)


ORDERS = ("a", "b")
orders, chances = st.sampled_from(ORDERS), st.booleans()
DEEDS = st.one_of(
    st.tuples(st.just(Course.order), orders, chances),
    st.tuples(st.just(Course.steps), orders, st.integers(1, 6), st.sampled_from([ALL, 0, 1, 2]), chances, chances),
    st.tuples(st.just(Course.all_goes_well)),
    st.tuples(st.just(Course.mine), chances, st.sampled_from([1, 1, 0]), st.sampled_from([0, 0, 1, 2, BOOKED_AFTER])),
    st.tuples(st.just(Course.reorganise), st.integers(1, BOOKED_AFTER)),
    st.tuples(st.sampled_from([Course.crash, Course.impatience]), orders),
)


REFUSED_THEN_TAKEN_BACK = [
    (Course.order, "a", False),
    (Course.all_goes_well,),
    (Course.mine, True, 0, 0),
    (Course.all_goes_well,),
    (Course.order, "a", False),
    (Course.all_goes_well,),
    (Course.reorganise, 1),
    (Course.mine, True, 1, 0),
    (Course.mine, True, 1, 0),
]


@settings(max_examples=200, deadline=None)
@given(deeds=st.lists(DEEDS, min_size=10, max_size=40), elsewhere=st.none() | st.integers(0, 20))
@example(deeds=REFUSED_THEN_TAKEN_BACK, elsewhere=None)
def test_next_step__any_course__pays_each_order_at_most_once(deeds: list, elsewhere: int | None) -> None:
    course = Course()
    for number, (deed, *values) in enumerate(deeds):
        if number == elsewhere:
            course.spend_elsewhere()
        deed(course, *values)
        course.check()
    course.finish()
