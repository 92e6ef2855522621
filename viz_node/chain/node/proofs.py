"""Prove what a contract stores at a block: header hash, state root, account, storage slot (Yellow Paper, section 4).

An endpoint that lies about a slot has to lie about the block's hash too, which independent endpoints can compare. What
was fetched is kept as it came, so that the proof can be checked again years later without a network.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from viz_node.chain.encoding import rlp
from viz_node.chain.encoding.hashing import keccak
from viz_node.chain.encoding.tries import read_proof
from viz_node.chain.node.rpc import JsonRpc, RpcRefusedError, to_bytes, to_int
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
# The path of a hashed key has 64 steps; a branch, the longest node, has 532 bytes.
MOST_NODES = 64
LONGEST_NODE_BYTES = 1024

Header = Mapping[str, str]
"""The fields of a block's header by their JSON-RPC names, and its hash, as an endpoint told them."""


@dataclass(frozen=True)
class BlockRef:
    """A block whose hash was computed from its header."""

    number: int
    block_hash: str
    parent_hash: str
    state_root: bytes
    bloom: int
    timestamp: int


@dataclass(frozen=True)
class AccountProof:
    """The trie nodes that an endpoint gave for an account and some of its slots, not verified."""

    address: str
    account_nodes: tuple[str, ...]
    slot_nodes: tuple[tuple[int, tuple[str, ...]], ...]


@dataclass(frozen=True)
class ProvenAccount:
    """A contract's code hash and slots at a block, as its state root says."""

    code_digest: str
    slots: dict[int, int]


def fetch_header(rpc: JsonRpc, block: str) -> Header:
    """The header of the block with this tag or hex number, as told. Raises: ChainUnavailableError."""
    try:
        body = rpc.call("eth_getBlockByNumber", block, False)
    except RpcRefusedError as error:
        raise ChainUnavailableError(f"the chain does not give block {block}: {error.message}") from error
    return header_of(body)


def header_of(body: Any) -> Header:
    """The header in an answer. Raises: ChainUnavailableError."""
    if not isinstance(body, dict):
        raise ChainUnavailableError("the chain does not have the block")
    names = [name for name, _ in _HEADER] + ["hash"]
    return {name: str(body[name]) for name in names if body.get(name) is not None}


def check_block(header: Header) -> BlockRef:
    """The block that an endpoint described. Raises: VerificationError when hash and header do not belong together."""
    block = parse_header(encode_header(header))
    if block.block_hash != header.get("hash"):
        raise VerificationError("the block's header does not have the hash that it claims", "use another RPC")
    return block


def encode_header(header: Header) -> bytes:
    """The bytes whose hash is that of the block. Raises: ChainUnavailableError."""
    fields = []
    for position, (name, is_quantity) in enumerate(_HEADER):
        value = header.get(name)
        if value is None and position >= _REQUIRED:
            break
        fields.append(rlp.quantity(to_int(value)) if is_quantity else to_bytes(value))
    return rlp.encode(fields)


def parse_header(raw: bytes) -> BlockRef:
    """The block with this header. Raises: VerificationError."""
    try:
        fields = rlp.decode(raw)
        parent, _, _, state_root, _, _, bloom, _, number, _, _, time = fields[:12]
        sizes = [len(field) for field in (parent, state_root, bloom)]
        is_sound = sizes == [32, 32, 256] and max(len(number), len(time)) <= 8 and len(fields) >= _REQUIRED
        if not is_sound or not all(isinstance(field, bytes) for field in fields):
            raise ValueError("a field has another size")
    except (ValueError, TypeError) as error:
        raise VerificationError(f"a block's header is malformed: {error}", "use another RPC") from error
    return BlockRef(
        int.from_bytes(number, "big"),
        f"0x{keccak(raw).hex()}",
        f"0x{parent.hex()}",
        state_root,
        int.from_bytes(bloom, "big"),
        int.from_bytes(time, "big"),
    )


def fetch_proof(rpc: JsonRpc, block: BlockRef, address: str, slots: Sequence[int]) -> AccountProof:
    """The nodes that shall prove the account and these slots. Raises: ChainUnavailableError, VerificationError."""
    try:
        answer = rpc.call("eth_getProof", address, [f"0x{slot:064x}" for slot in slots], hex(block.number))
    except RpcRefusedError as error:
        raise ChainUnavailableError(f"the chain gives no storage proof: {error.message}", "use another RPC") from error
    try:
        account = tuple(str(node) for node in answer["accountProof"])
        proofs = [tuple(str(node) for node in answer["storageProof"][i]["proof"]) for i in range(len(slots))]
    except (KeyError, IndexError, TypeError) as error:
        raise VerificationError("the endpoint's storage proof is malformed", "use another RPC") from error
    return AccountProof(address, account, tuple(zip(slots, proofs, strict=True)))


def verify_proof(state_root: bytes, proof: AccountProof) -> ProvenAccount:
    """What the nodes prove under the state root. Raises: VerificationError."""
    try:
        account = read_proof(state_root, bytes.fromhex(proof.address[2:]), _raw(proof.account_nodes))
        _, _, storage_root, code_digest = rlp.decode(account)
        if not isinstance(code_digest, bytes):
            raise ValueError("the account has no digest of its code")
        slots = {slot: _slot_value(storage_root, slot, nodes) for slot, nodes in proof.slot_nodes}
    except (ValueError, TypeError, ChainUnavailableError) as error:
        raise VerificationError(
            f"the storage proof of {proof.address} does not lead to the block's state root", "use another RPC"
        ) from error
    return ProvenAccount(code_digest.hex(), slots)


def _slot_value(storage_root: bytes, slot: int, nodes: Sequence[str]) -> int:
    value = read_proof(storage_root, slot.to_bytes(32, "big"), _raw(nodes))
    number = rlp.decode(value) if value else b""
    if not isinstance(number, bytes) or len(number) > 32:
        raise ValueError("the slot holds no word")
    return int.from_bytes(number, "big")


def _raw(nodes: Sequence[str]) -> list[bytes]:
    if len(nodes) > MOST_NODES or any(len(node) > 2 * LONGEST_NODE_BYTES for node in nodes):
        raise ValueError("the proof is too large")
    return [to_bytes(node) for node in nodes]
