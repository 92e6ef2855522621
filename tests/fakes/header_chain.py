"""A chain of nothing but headers, some of whose states hold the history contract, and an endpoint that tells of it."""

from collections.abc import Mapping, Sequence
from typing import Any

from tests.tries import Trie
from viz_node.audit.ancestry import HISTORY, history_slot
from viz_node.chain.encoding import rlp
from viz_node.chain.encoding.hashing import keccak
from viz_node.chain.node.proofs import AccountProof
from viz_node.chain.node.rpc import RpcRefusedError

CODE = bytes.fromhex(
    "3373fffffffffffffffffffffffffffffffffffffffe14604657602036036042575f35600143038111604257611fff814303116042"
    "57611fff9006545f5260205ff35b5f5ffd5b5f35611fff60014303065500"
)
_TEXTS = ("parentHash", "sha3Uncles", "miner", "stateRoot", "transactionsRoot", "receiptsRoot", "logsBloom")
_NUMBERS = ("difficulty", "number", "gasLimit", "gasUsed", "timestamp")


def header(number: int, parent: bytes, state_root: bytes = bytes(32), time: int | None = None, bloom: int = 0) -> bytes:
    numbers = [rlp.quantity(value) for value in (0, number, 10**7, 0, 1000 + number if time is None else time)]
    texts = [parent, bytes(32), bytes(20), state_root, bytes(32), bytes(32), bloom.to_bytes(256, "big")]
    return rlp.encode([*texts, *numbers, b"", bytes(32), bytes(8), b"\7"])


def history_of(hashes: Mapping[int, bytes], code: bytes = CODE) -> tuple[bytes, AccountProof]:
    """A state root whose history contract holds these hashes by block, and the proof of them."""
    slots = {history_slot(number): value for number, value in hashes.items()}
    storage = Trie({slot.to_bytes(32, "big"): rlp.encode(value.lstrip(b"\0")) for slot, value in slots.items()})
    account = rlp.encode([b"\1", b"", storage.root, keccak(code)])
    state = Trie({bytes.fromhex(HISTORY[2:]): account, b"\1" * 20: bytes(40)})
    nodes = tuple((slot, storage.proof(slot.to_bytes(32, "big"))) for slot in slots)
    return state.root, AccountProof(HISTORY, state.proof(bytes.fromhex(HISTORY[2:])), nodes)


class HeaderChain:
    """Headers from 0 to `last`; `kept` gives the blocks whose hashes the history contract holds, by block."""

    def __init__(self, last: int, kept: Mapping[int, Sequence[int]], code: bytes = CODE) -> None:
        self.last, self.headers, self.histories = last, dict[int, bytes](), dict[int, AccountProof]()
        self.asked: list[str] = []
        parent = bytes(32)
        for number in range(last + 1):
            root = bytes(32)
            if number in kept:
                hashes = {earlier: keccak(self.headers[earlier]) for earlier in kept[number]}
                root, self.histories[number] = history_of(hashes, code)
            self.headers[number] = header(number, parent, root)
            parent = keccak(self.headers[number])

    def call(self, method: str, *params: Any) -> Any:
        """The answer to one request."""
        self.asked.append(method)
        if method == "eth_getBlockByNumber":
            return told_header(self.headers[int(params[0], 16)])
        proof = self.histories.get(int(params[2], 16))
        if proof is None:
            raise RpcRefusedError("missing trie node")
        nodes = dict(proof.slot_nodes)
        rows = [{"proof": list(nodes[int(slot, 16)])} for slot in params[1]]
        return {"accountProof": list(proof.account_nodes), "storageProof": rows}

    def batch(self, requests: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        """The answers in order."""
        return [self.call(method, *params) for method, params in requests]


def told_header(raw: bytes) -> dict[str, Any]:
    """A header as an endpoint tells it."""
    fields = rlp.decode(raw)
    body = {name: "0x" + field.hex() for name, field in zip(_TEXTS, fields, strict=False)}
    body |= {name: hex(int.from_bytes(field, "big")) for name, field in zip(_NUMBERS, fields[7:], strict=False)}
    names = ("extraData", "mixHash", "nonce")
    body |= {name: "0x" + field.hex() for name, field in zip(names, fields[12:], strict=False)}
    return {**body, "baseFeePerGas": "0x7", "hash": "0x" + keccak(raw).hex(), "transactions": []}
