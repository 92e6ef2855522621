"""A Merkle-Patricia trie with hashed keys, built whole and never changed, that proves its values."""

from collections.abc import Mapping

from viz_node.chain.encoding import rlp
from viz_node.chain.encoding.hashing import keccak

Node = list[bytes]


class Trie:
    """The trie over these keys; its nodes are those that the Yellow Paper's appendix D prescribes."""

    def __init__(self, values: Mapping[bytes, bytes]) -> None:
        items = sorted((_nibbles(keccak(key)), value) for key, value in values.items())
        self._top = _build(items, 0)
        self.root = keccak(rlp.encode(self._top))

    def proof(self, key: bytes) -> tuple[str, ...]:
        """The nodes on the way to the key, as `eth_getProof` gives them."""
        path, node, found = _nibbles(keccak(key)), self._top, []
        while True:
            found.append("0x" + rlp.encode(node).hex())
            if len(node) == 2:
                prefix = _nibbles(node[0])
                path = path[len(prefix) - (1 if prefix[0] & 1 else 2) :]
                is_end, below = prefix[0] >= 2, node[1]
            else:
                is_end, below, path = False, node[path[0]], path[1:]
            if is_end or not below:
                return tuple(found)
            node = _KNOWN[below]


_KNOWN: dict[bytes, Node] = {}


def _build(items: list[tuple[list[int], bytes]], depth: int) -> Node:
    if len(items) == 1:
        return [_packed(items[0][0][depth:], 2), items[0][1]]
    first, last, end = items[0][0], items[-1][0], depth
    while first[end] == last[end]:
        end += 1
    if end > depth:
        return [_packed(first[depth:end], 0), _reference(_build(items, end))]
    groups = [[item for item in items if item[0][depth] == nibble] for nibble in range(16)]
    return [*[_reference(_build(group, depth + 1)) if group else b"" for group in groups], b""]


def _reference(node: Node) -> bytes:
    digest = keccak(rlp.encode(node))
    _KNOWN[digest] = node
    return digest


def _packed(nibbles: list[int], flag: int) -> bytes:
    full = [flag + 1, *nibbles] if len(nibbles) & 1 else [flag, 0, *nibbles]
    return bytes(16 * high + low for high, low in zip(full[::2], full[1::2], strict=True))


def _nibbles(raw: bytes) -> list[int]:
    return [nibble for byte in raw for nibble in (byte >> 4, byte & 15)]
