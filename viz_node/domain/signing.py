"""The digest that accounts sign when they sign a text; knows no key."""

from viz_node.domain.keccak import keccak


def text_digest(text: str) -> bytes:
    """The digest of a text that an account signs (EIP-191), 32 bytes."""
    raw = text.encode()
    return keccak(b"\x19Ethereum Signed Message:\n" + str(len(raw)).encode() + raw)
