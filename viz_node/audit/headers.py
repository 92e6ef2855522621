"""Ask an endpoint for the headers of blocks, and for what links them to the audited block."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from viz_node.audit.ancestry import (
    HISTORY,
    HISTORY_BLOCKS,
    history_hashes,
    history_slot,
    linked_blocks,
)
from viz_node.chain.node.proofs import AccountProof, BlockRef, check_block, encode_header, fetch_proof, header_of
from viz_node.chain.node.rpc import BATCH_LIMIT, JsonRpc
from viz_node.errors import ChainUnavailableError, VerificationError

# A header takes about a fifth of the bytes of a proof of its hash.
SMALL_GAP = 4
# Without the history contract, the parents of at most so many blocks are asked for.
LONGEST_CHAIN = 10_000
MOST_HOPS = 4_096
SLOTS_PER_PROOF = 250


class HeaderCollector:
    """Headers of the wanted blocks, and of others as far as it takes to link them; `audited` is among them.

    `transactions` lists those of the wanted blocks, as told.
    """

    def __init__(self, rpc: JsonRpc, audited: BlockRef, raw: bytes) -> None:
        self._rpc, self._audited = rpc, audited
        self.blocks: dict[int, BlockRef] = {audited.number: audited}
        self.headers: dict[int, bytes] = {audited.number: raw}
        self.histories: dict[int, AccountProof] = {}
        self.transactions: dict[int, list[Any]] = {}
        self._wanted: frozenset[int] = frozenset()

    def collect(self, wanted: Sequence[int]) -> frozenset[int]:
        """Fetch all; returns the wanted numbers for which no link was found.

        Raises: ChainUnavailableError, RpcRefusedError; VerificationError for a block that is not the chain's.
        """
        self._wanted = frozenset(wanted)
        self._fetch(wanted)
        gaps = [(low, high) for low, high in pairwise(sorted(self.blocks)) if high - low <= SMALL_GAP]
        self._fetch([number for low, high in gaps for number in range(low + 1, high)])
        self._ask_history()
        missing = self._unlinked(wanted)
        if missing:
            self._fetch(range(max(min(missing), self._audited.number - LONGEST_CHAIN), self._audited.number))
            missing = self._unlinked(wanted)
        return missing

    def _unlinked(self, wanted: Sequence[int]) -> frozenset[int]:
        return frozenset(wanted) - linked_blocks(self._audited, self.blocks, self.histories)

    def _fetch(self, numbers: Sequence[int]) -> None:
        known = (self.headers.keys() - self._wanted) | self.transactions.keys()
        new = [number for number in numbers if number not in known]
        for start in range(0, len(new), BATCH_LIMIT):
            part = new[start : start + BATCH_LIMIT]
            bodies = self._rpc.batch([("eth_getBlockByNumber", [hex(number), False]) for number in part])
            for number, body in zip(part, bodies, strict=True):
                self._keep(number, body)

    def _keep(self, number: int, body: Any) -> None:
        header = header_of(body)
        block, listed = check_block(header), body.get("transactions")
        if block.number != number or not isinstance(listed, list):
            raise VerificationError(f"the endpoint gave another block than {number}", "use another RPC")
        if self.blocks.setdefault(number, block).block_hash != block.block_hash:
            raise VerificationError(f"the endpoint gave two blocks {number}", "use another RPC")
        self.headers[number] = encode_header(header)
        if number in self._wanted:
            self.transactions[number] = listed

    def _ask_history(self) -> None:
        """Proofs of the hashes of all blocks whose child is not here, a ring at a time, as far as the chain has them.

        The last hash of each ring proves the block at which the next ring is asked for.
        """
        anchor = self._audited
        rest = [number for number in sorted(self.blocks, reverse=True)[1:] if number + 1 not in self.blocks]
        for _ in range(MOST_HOPS):
            if not rest:
                return
            lowest = anchor.number - HISTORY_BLOCKS
            asked = [number for number in rest if number >= lowest]
            rest = rest[len(asked) :]
            if rest and lowest not in self.blocks:
                self._fetch([lowest])
                asked.append(lowest)
            if asked and not self._keep_history(anchor, asked):
                return
            if rest:
                anchor = self.blocks[lowest]

    def _keep_history(self, anchor: BlockRef, numbers: Sequence[int]) -> bool:
        """Whether the chain proves the hashes of these blocks at `anchor`."""
        try:
            proof = self._history_proof(anchor, numbers)
            history_hashes(anchor, proof)
        except (ChainUnavailableError, VerificationError):
            return False
        self.histories[anchor.number] = proof
        return True

    def _history_proof(self, anchor: BlockRef, numbers: Sequence[int]) -> AccountProof:
        slots = [history_slot(number) for number in numbers]
        parts = [
            fetch_proof(self._rpc, anchor, HISTORY, slots[start : start + SLOTS_PER_PROOF])
            for start in range(0, len(slots), SLOTS_PER_PROOF)
        ]
        nodes = tuple(item for part in parts for item in part.slot_nodes)
        return AccountProof(HISTORY, parts[0].account_nodes, nodes)
