"""Read one value from a Merkle-Patricia trie by a proof of its nodes (Yellow Paper, appendix D)."""

from collections.abc import Iterator, Sequence

from viz_node.chain.encoding import rlp
from viz_node.chain.encoding.hashing import keccak

EMPTY_ROOT = keccak(rlp.encode(b""))


def read_proof(root: bytes, key: bytes, nodes: Sequence[bytes]) -> bytes:
    """The value at the key, empty if the trie has none. Every node must be needed.

    Raises: ValueError when the nodes do not lead from the root to the value, or to where it would have to be.
    """
    if root == EMPTY_ROOT and list(nodes) in ([], [rlp.encode(b"")]):
        return b""
    path = [nibble for byte in keccak(key) for nibble in (byte >> 4, byte & 15)]
    rest = iter(nodes)
    reference: rlp.Item = root
    while reference:
        node = _resolve(reference, rest)
        if len(node) == 2:
            reference, path, is_end = _follow(node, path)
            if is_end:
                break
        elif path:
            reference, path = node[path[0]], path[1:]
        else:
            reference = node[16]
            break
    if next(rest, None) is not None:
        raise ValueError("the proof has nodes that lead nowhere")
    if not isinstance(reference, bytes):
        raise ValueError("the value is not a string of bytes")
    return reference


def _resolve(reference: rlp.Item, rest: Iterator[bytes]) -> list[rlp.Item]:
    """The node behind a reference: itself when it is short, else the next of the proof, which must have its hash."""
    node = reference
    if isinstance(reference, bytes):
        raw = next(rest, None)
        if raw is None or keccak(raw) != reference:
            raise ValueError("a node is missing or does not have the hash that names it")
        node = rlp.decode(raw)
    if not isinstance(node, list) or len(node) not in (2, 17):
        raise ValueError("a node is neither a branch nor a path")
    return node


def _follow(node: list[rlp.Item], path: list[int]) -> tuple[rlp.Item, list[int], bool]:
    """The reference after an extension or leaf, what is left of the path, and whether the search ends."""
    prefix = node[0]
    if not isinstance(prefix, bytes) or not prefix or prefix[0] >> 4 > 3:
        raise ValueError("a path is malformed")
    nibbles = [nibble for byte in prefix for nibble in (byte >> 4, byte & 15)]
    nibbles = nibbles[1:] if nibbles[0] & 1 else nibbles[2:]
    is_leaf = prefix[0] >> 4 >= 2
    if path[: len(nibbles)] != nibbles or (is_leaf and len(path) != len(nibbles)):
        return b"", [], True
    return node[1], path[len(nibbles) :], is_leaf
