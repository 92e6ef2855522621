"""Announcements of these tests: the adapter's name, who speaks, and a number."""

from viz_node.errors import VerificationError


def announcement(adapter: str, peer: str, sequence: int) -> bytes:
    return f"{adapter} {peer} {sequence}".encode()


def check(raw: bytes) -> tuple[str, str, int]:
    try:
        adapter, peer, sequence = raw.decode().split(" ")
        return adapter, peer, int(sequence)
    except ValueError as error:
        raise VerificationError("not an announcement") from error
