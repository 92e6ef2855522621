"""Prove what a contract stores at a block: header hash, state root, account, storage slot (Yellow Paper, section 4).

An endpoint that lies about a slot has to lie about the block's hash too, which independent endpoints can compare.
"""

from dataclasses import dataclass
from typing import Any

import rlp
from trie import HexaryTrie
from trie.exceptions import BadTrieProof, InvalidNode, ValidationError

from viz_node.chain.hashing import keccak
from viz_node.chain.rpc import JsonRpc, RpcRefusedError, to_bytes, to_int
from viz_node.errors import ChainUnavailableError, VerificationError

# In the order of the header's RLP list; quantities lose their leading zeros. The tail grew with the forks.
_HEADER = (
    ("parentHash", False),
    ("sha3Uncles", False),
    ("miner", False),
    ("stateRoot", False),
    ("transactionsRoot", False),
    ("receiptsRoot", False),
    ("logsBloom", False),
    ("difficulty", True),
    ("number", True),
    ("gasLimit", True),
    ("gasUsed", True),
    ("timestamp", True),
    ("extraData", False),
    ("mixHash", False),
    ("nonce", False),
    ("baseFeePerGas", True),
    ("withdrawalsRoot", False),
    ("blobGasUsed", True),
    ("excessBlobGas", True),
    ("parentBeaconBlockRoot", False),
    ("requestsHash", False),
)
_REQUIRED = 15


@dataclass(frozen=True)
class BlockRef:
    """A block whose hash was computed from its header."""

    number: int
    block_hash: str
    state_root: bytes
    timestamp: int


@dataclass(frozen=True)
class ProvenSlot:
    """A contract's storage slot and code hash at a block, as its state root says."""

    value: int
    code_digest: str


def read_block(rpc: JsonRpc, block: str) -> BlockRef:
    """The block with this tag or hex number, its hash recomputed. Raises: VerificationError, ChainUnavailableError."""
    try:
        body = rpc.call("eth_getBlockByNumber", block, False)
    except RpcRefusedError as error:
        raise ChainUnavailableError(f"the chain does not give block {block}: {error.message}") from error
    return check_block(body)


def check_block(body: Any) -> BlockRef:
    """The block that an endpoint described. Raises: VerificationError when hash and header do not belong together."""
    if not isinstance(body, dict):
        raise ChainUnavailableError("the chain does not have the block")
    claimed = to_bytes(body.get("hash"))
    if keccak(_header_bytes(body)) != claimed:
        raise VerificationError("the block's header does not have the hash that it claims", "use another RPC")
    root = to_bytes(body.get("stateRoot"))
    return BlockRef(to_int(body.get("number")), f"0x{claimed.hex()}", root, to_int(body.get("timestamp")))


def prove_slot(rpc: JsonRpc, block: BlockRef, address: str, slot: int) -> ProvenSlot:
    """Read a slot and verify it against the block's state root. Raises: VerificationError, ChainUnavailableError."""
    try:
        answer = rpc.call("eth_getProof", address, [f"0x{slot:064x}"], hex(block.number))
    except RpcRefusedError as error:
        raise ChainUnavailableError(f"the chain gives no storage proof: {error.message}", "use another RPC") from error
    try:
        account_nodes = [rlp.decode(to_bytes(node)) for node in answer["accountProof"]]
        slot_nodes = [rlp.decode(to_bytes(node)) for node in answer["storageProof"][0]["proof"]]
        account_key, slot_key = keccak(bytes.fromhex(address[2:])), keccak(slot.to_bytes(32, "big"))
        account = HexaryTrie.get_from_proof(block.state_root, account_key, account_nodes)
        _, _, storage_root, code_digest = rlp.decode(account)
        value = HexaryTrie.get_from_proof(storage_root, slot_key, slot_nodes)
        number = int.from_bytes(rlp.decode(value), "big") if value else 0
    except (
        BadTrieProof,
        InvalidNode,
        ValidationError,
        rlp.DecodingError,
        KeyError,
        IndexError,
        TypeError,
        ValueError,
    ) as error:
        raise VerificationError(
            f"the storage proof of {address} does not lead to the state root of block {block.number}", "use another RPC"
        ) from error
    return ProvenSlot(number, bytes(code_digest).hex())


def _header_bytes(body: dict[str, Any]) -> bytes:
    fields = []
    for position, (name, is_quantity) in enumerate(_HEADER):
        if body.get(name) is None and position >= _REQUIRED:
            break
        fields.append(_quantity(body.get(name)) if is_quantity else to_bytes(body.get(name)))
    return bytes(rlp.encode(fields))


def _quantity(text: Any) -> bytes:
    value = to_int(text)
    return value.to_bytes((value.bit_length() + 7) // 8, "big")
