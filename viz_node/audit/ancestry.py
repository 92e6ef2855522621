"""Which blocks are ancestors of the audited one: by parent hashes, and by the hashes that the chain itself keeps.

A header is linked if its hash stands in a linked header as that of the parent, or in the storage of the history
contract (EIP-2935: a ring of the hashes of the last 8191 blocks), proven under the state root of a linked header.
A header that is not linked rests on the endpoint's word alone: all of it may be invented, its time too.
`tests/unit/audit/test_ancestry.py` forges each kind of link.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import groupby, pairwise
from operator import attrgetter

from viz_node.chain.encoding.hashing import keccak
from viz_node.chain.node.logs import Log
from viz_node.chain.node.proofs import AccountProof, BlockRef, parse_header, verify_proof
from viz_node.errors import VerificationError

HISTORY = "0x0000f90827f1c53a10cb7a02335b175320002935"
HISTORY_BLOCKS = 8191
# Of the contract that EIP-2935 prescribes. Chains with another ring have another code.
HISTORY_CODE_DIGEST = "6e49e66782037c0555897870e29fa5e552daf4719552131a0abce779daec0a5d"

_block_of = attrgetter("block_number")


def read_headers(headers: Iterable[bytes]) -> dict[int, BlockRef]:
    """Blocks by number. Raises: VerificationError for a malformed header, and for two of one number."""
    blocks: dict[int, BlockRef] = {}
    for raw in headers:
        block = parse_header(raw)
        if blocks.setdefault(block.number, block).block_hash != block.block_hash:
            raise VerificationError(f"there are two headers of block {block.number}", "use another RPC")
    return blocks


def linked_blocks(
    audited: BlockRef, blocks: Mapping[int, BlockRef], histories: Mapping[int, AccountProof]
) -> frozenset[int]:
    """The numbers of those `blocks` that are proven to be the audited one or its ancestors.

    `histories` are proofs of the history contract by the block at which they hold. Raises: VerificationError when a
    block is proven to be no ancestor, and for a proof that does not hold.
    """
    known, linked, blocks = {audited.number: audited.block_hash}, set(), {audited.number: audited, **blocks}
    for number in sorted(blocks, reverse=True):
        if number not in known:
            continue
        block = blocks[number]
        if block.block_hash != known[number]:
            raise VerificationError(f"block {number} is not an ancestor of the audited block", "use another RPC")
        linked.add(number)
        known[number - 1] = block.parent_hash
        if number in histories:
            known = history_hashes(block, histories[number]) | known
    return frozenset(linked)


def history_hashes(block: BlockRef, proof: AccountProof) -> dict[int, str]:
    """Hashes of earlier blocks by number, as the history contract keeps them at `block`. Raises: VerificationError."""
    proven = verify_proof(block.state_root, proof)
    if proof.address != HISTORY or proven.code_digest != HISTORY_CODE_DIGEST:
        raise VerificationError("the chain does not keep its block hashes as EIP-2935 says")
    last = block.number - 1
    numbers = {last - (last - slot) % HISTORY_BLOCKS: value for slot, value in proven.slots.items()}
    return {number: f"0x{value:064x}" for number, value in numbers.items() if number >= 0}


def history_slot(number: int) -> int:
    """Where the history contract keeps the hash of a block."""
    return number % HISTORY_BLOCKS


def misplaced_logs(blocks: Mapping[int, BlockRef], logs: Sequence[Log]) -> Iterator[str]:
    """Logs that cannot be in their blocks, because the headers' bloom filters exclude them.

    A filter never excludes a log that is there; one that is not there may pass, most of all in crowded blocks.
    """
    for number, group in groupby(sorted(logs, key=_block_of), _block_of):
        found = list(group)
        texts = {log.address for log in found}.union(*[log.topics for log in found])
        bloom = blocks[number].bloom
        if any(bloom & _bits(text) != _bits(text) for text in texts):
            yield f"block {number} has no such log as the endpoint told"


def unordered_times(blocks: Mapping[int, BlockRef]) -> Iterator[str]:
    """Blocks that claim to be older than their predecessors."""
    for earlier, later in pairwise(sorted(blocks)):
        if blocks[earlier].timestamp > blocks[later].timestamp:
            yield f"block {later} is told to be older than block {earlier}"


@lru_cache(maxsize=1 << 16)
def _bits(text: str) -> int:
    """The bits of an address or a topic in a bloom filter (Yellow Paper, section 4.3.1)."""
    digest = keccak(bytes.fromhex(text[2:]))
    return sum({1 << (int.from_bytes(digest[place : place + 2], "big") & 2047) for place in (0, 2, 4)})
