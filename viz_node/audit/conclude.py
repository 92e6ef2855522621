"""Conclusions from the evidence: proofs verified, ledger replayed, money matched.

It asks nobody, except contract accounts for their signatures, whose answers then are evidence; so it repeats.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from viz_node.audit.ancestry import linked_blocks, misplaced_logs, read_headers, unordered_times
from viz_node.audit.checkpoint import Checkpoint
from viz_node.audit.evidence import (
    BALANCE_SLOTS,
    DIVISION_ENCODING,
    Evidence,
    History,
    StateCheck,
    WalletWord,
    decode_history,
)
from viz_node.audit.money import Ledgers, compare_transfers
from viz_node.audit.wallets import Wallets
from viz_node.chain.contract.artifact import load_artifact
from viz_node.chain.encoding.hashing import keccak
from viz_node.chain.node.proofs import BlockRef, ProvenAccount, check_block, verify_proof
from viz_node.chain.node.rpc import JsonRpc, to_bytes
from viz_node.chain.replay import CHECKS, Finding, LedgerReplay
from viz_node.chain.replay.divisions import Published
from viz_node.chain.replay.snapshot import entries_in, restore
from viz_node.domain.counting import counted
from viz_node.domain.division import Recover
from viz_node.errors import VerificationError


@dataclass(frozen=True)
class Conclusion:
    """The replay, with all findings and how often each check was made; `is_proven` tells of the ledger's head.

    `told` are blocks with logs for which only endpoints speak: nothing links them to `block`. `transfers` and
    `unlinked` count what `start`, the checkpoint from which the replay went on, saw as well.
    """

    block: BlockRef
    history: History
    replay: LedgerReplay
    money: Ledgers
    findings: tuple[Finding, ...]
    checked: dict[str, int]
    is_proven: bool
    notes: tuple[str, ...] = ()
    told: tuple[int, ...] = ()
    start: Checkpoint | None = None
    wallets: frozenset[WalletWord] = frozenset()

    @property
    def transfers(self) -> int:
        """Movements of the token, all of them."""
        return len(self.history.transfers) + (self.start.statement.transfers if self.start else 0)

    @property
    def unlinked(self) -> int:
        """Blocks that nothing links, all of them."""
        return len(self.told) + (self.start.statement.unlinked if self.start else 0)


def conclude(
    evidence: Evidence, recover: Recover, start: Checkpoint | None = None, rpc: JsonRpc | None = None
) -> Conclusion:
    """Judge the evidence, of what came after `start` if there is one; what is wrong with the market is a finding.

    With `rpc`, contract accounts are asked for their signatures; without, what the evidence holds of them counts.

    Raises: VerificationError, ChainUnavailableError for evidence that cannot be judged at all.
    """
    block = check_block(evidence.header)
    history = decode_history(evidence.logs, evidence.transfer_logs)
    blocks = read_headers(evidence.headers)
    told = _told_blocks(evidence, block, blocks, start)
    times = {number: found.timestamp for number, found in blocks.items()}
    replay = LedgerReplay(evidence.deployment.market, evidence.terms, history.companions, times)
    before = None if start is None else _go_on(replay, start)
    replay.run(history.entries)
    texts = [text.encode(DIVISION_ENCODING) for text in evidence.divisions]
    divisions = {hashlib.sha256(raw).digest(): raw for raw in texts}
    wallets = Wallets(evidence.wallets, rpc)
    published = Published(divisions, recover, wallets.accepts)
    derived, missing = replay.check_divisions(evidence.deployment.chain_id, published)
    notes: tuple[str, ...] = ()
    if missing:
        notes = (f"the data of {counted(missing, 'root')} of pools is not at hand: --pool-data derives them again",)
    if wallets.taken:
        notes += (f"that contract accounts signed {len(wallets.taken)} documents of pools is an endpoint's word",)
    money = compare_transfers(history.entries, history.transfers, evidence.deployment.market, before)
    proven, faults = _proven(evidence, block)
    faults += [Finding("C1", 0, text) for text in _code_faults(evidence, proven)]
    faults += [Finding("C1", 0, text) for text in misplaced_logs(blocks, (*evidence.logs, *evidence.transfer_logs))]
    faults += [Finding("C7", 0, text) for text in unordered_times(blocks)]
    faults += _head_faults(replay, proven)
    faults += _balance_faults(evidence, replay, money, proven)
    checked = {check: replay.book.checked[check] for check in CHECKS}
    checked |= {"C2": int("token" in proven), "C5": money.checked, "C10": checked["C10"] + derived}
    findings = (*replay.findings, *money.findings, *faults)
    told_notes = evidence.notes + notes
    conclusion = Conclusion(
        block, history, replay, money, findings, checked, "market" in proven, told_notes, told, start,
        frozenset(wallets.taken),
    )  # fmt: skip
    checked["C12"] = conclusion.transfers
    return conclusion


def with_state(conclusion: Conclusion, state: StateCheck) -> Conclusion:
    """The conclusion with what the contract itself said of its state."""
    differences = tuple(Finding("C13", 0, text) for text in state.differences)
    checked = conclusion.checked | {"C13": state.checked}
    return replace(conclusion, findings=(*conclusion.findings, *differences), checked=checked)


def _go_on(replay: LedgerReplay, start: Checkpoint) -> Ledgers:
    """Begin where the checkpoint ended. Raises: VerificationError."""
    told = start.statement
    restore(replay, start.state)
    if (f"0x{replay.head:064x}", entries_in(replay)) != (told.head, told.entries):
        raise VerificationError("the checkpoint's state is not that of the head that it names")
    money = Ledgers()
    if told.money.keys() != money.figures().keys():
        raise VerificationError("the checkpoint has other figures than this program keeps")
    for name, value in told.money.items():
        setattr(money, name, value)
    return money


def _told_blocks(
    evidence: Evidence, block: BlockRef, blocks: Mapping[int, BlockRef], start: Checkpoint | None
) -> tuple[int, ...]:
    """Blocks with logs that are not linked to the audited one. Raises: VerificationError."""
    if start is not None:
        number = start.statement.block
        if number not in blocks or blocks[number].block_hash != start.statement.block_hash:
            raise VerificationError(
                f"block {number} is not the one of the checkpoint: the chain was reorganised, or an endpoint lies",
                "start from an older checkpoint, or run a full audit",
            )
    linked = linked_blocks(block, blocks, evidence.histories)
    wanted = {log.block_number for log in (*evidence.logs, *evidence.transfer_logs)}
    wanted |= {start.statement.block} if start is not None else set()
    if not wanted <= blocks.keys():
        raise VerificationError("there is no header of a block with logs", "ask for another audit")
    return tuple(sorted(wanted - linked))


def _proven(evidence: Evidence, block: BlockRef) -> tuple[dict[str, ProvenAccount], list[Finding]]:
    """The accounts whose proofs lead to the block's state, and a finding for each other one."""
    addresses = {"market": evidence.deployment.market, "token": evidence.deployment.token}
    proven: dict[str, ProvenAccount] = {}
    faults: list[Finding] = []
    for name in ("market", "annex", "token"):
        check = "C2" if name == "token" else "C1"
        proof = evidence.proofs.get(name)
        if proof is None or proof.address != addresses.get(name, proof.address):
            faults.append(Finding(check, 0, f"there is no proof of the {name}"))
            continue
        try:
            proven[name] = verify_proof(block.state_root, proof)
        except VerificationError as error:
            faults.append(Finding(check, 0, error.message))
    return proven, faults


def _code_faults(evidence: Evidence, proven: dict[str, ProvenAccount]) -> Iterator[str]:
    """The deployment pins the market's code. In it stand, as immutables, its token, the annex and the told terms."""
    market = to_bytes(evidence.codes.get("market"))
    if keccak(market).hex() != evidence.deployment.code_digest:
        yield "the code at the market's address is not that of the deployment"
    for name in ("market", "annex"):
        if name in proven and keccak(to_bytes(evidence.codes.get(name))).hex() != proven[name].code_digest:
            yield f"the told code of the {name} is not the proven one"
    annex, annex_code = load_artifact("Annex"), to_bytes(evidence.codes.get("annex"))
    terms, address = evidence.terms, evidence.proofs["annex"].address if "annex" in evidence.proofs else "0x0"
    of_market = {
        "token": int(evidence.deployment.token, 16),
        "annex": int(address, 16),
        "platform": int(terms.platform, 16),
        "platform's fee": terms.platform_fee,
    }
    windows = {
        "window for closing": terms.close_window,
        "window for deliveries": terms.delivery_window,
        "window for disputes": terms.dispute_window,
        "window for vetoes": terms.veto_window,
    }
    for artifact, code, told in ((load_artifact("Market"), market, of_market), (annex, annex_code, windows)):
        words = {code[start : start + size] for start, size in artifact.immutables}
        for name in [name for name, value in told.items() if value.to_bytes(32, "big") not in words]:
            yield f"the told {name} does not stand in the market's code"
    if "annex" in proven and not annex.is_code(annex_code):
        yield "the annex has other code than this program knows"


def _head_faults(replay: LedgerReplay, proven: dict[str, ProvenAccount]) -> list[Finding]:
    if "market" not in proven:
        return []
    head = proven["market"].slots.get(load_artifact("Market").head_slot)
    if head == replay.head:
        return []
    count = (head or 0) & ((1 << 40) - 1)
    head_of = counted(count, "entry", "entries")
    text = f"the entries do not lead to the proven head of {head_of}: one is missing, altered or moved"
    return [Finding("C1", 0, text)]


def _balance_faults(
    evidence: Evidence, replay: LedgerReplay, money: Ledgers, proven: dict[str, ProvenAccount]
) -> list[Finding]:
    if "token" not in proven:
        return []
    holder = int(evidence.deployment.market, 16).to_bytes(32, "big")
    slots = proven["token"].slots
    if not slots:
        return [Finding("C2", 0, "no storage slot of the token holds the balance that the endpoint told")]
    ((slot, balance),) = list(slots.items())[:1]
    expected = replay.owed + money.strays
    if balance != expected:
        return [Finding("C2", 0, f"the market holds {balance} units, and the ledger leads to {expected}")]
    if expected and not _is_balance_slot(slot, holder):
        return [Finding("C2", 0, "the proven slot of the token is not that of the market's balance")]
    return []


def _is_balance_slot(slot: int, holder: bytes) -> bool:
    return any(int.from_bytes(keccak(holder + base.to_bytes(32, "big")), "big") == slot for base in BALANCE_SLOTS)
