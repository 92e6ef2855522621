"""Blobs: a file's id, its list of chunk digests, and the bookkeeping of a partly fetched file; no network.

A file is cut into chunks of 1 MiB. A leaf is SHA-256(0x00 ‖ chunk); the chunk list is a canonical JSON header with its
32-bit length in front, then the leaves; the blob id is SHA-256(0x01 ‖ chunk list). The two prefixes keep a chunk from
passing for a list. One request fetches the list, and from then on each chunk is checked on its own, from any peer.
A fetch writes `<file>.part` and appends the number of each verified chunk to `<file>.have`; on resume every chunk named
there is hashed again, because a crash may have lost bytes that the file system had accepted.
"""

import hashlib
import json
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from viz_node.domain.strict_json import parse_json
from viz_node.errors import NotFoundError, StorageError, VerificationError

CHUNK_BYTES: Final = 1 << 20
MAX_BLOB_BYTES: Final = 64 << 30
MAX_LIST_BYTES: Final = 4 + 1024 + 32 * (MAX_BLOB_BYTES // CHUNK_BYTES)
_LENGTH = struct.Struct(">I")


@dataclass(frozen=True)
class ChunkList:
    """The verified digests of a blob's chunks."""

    size_bytes: int
    leaves: tuple[bytes, ...]

    def to_bytes(self) -> bytes:
        """The form that peers exchange and whose hash is the blob id."""
        header = {"alg": "sha256", "chunk": CHUNK_BYTES, "n": len(self.leaves), "size": self.size_bytes, "v": 1}
        raw = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
        return _LENGTH.pack(len(raw)) + raw + b"".join(self.leaves)

    def blob_id(self) -> str:
        """64 lower-case hex digits."""
        return hashlib.sha256(b"\x01" + self.to_bytes()).hexdigest()

    def chunk_size(self, index: int) -> int:
        """Bytes of the chunk: 1 MiB, but the last may be shorter."""
        return min(CHUNK_BYTES, self.size_bytes - index * CHUNK_BYTES)

    def is_chunk(self, index: int, chunk: bytes) -> bool:
        """Whether these bytes are the chunk of that number."""
        return leaf_of(chunk) == self.leaves[index]


@dataclass(frozen=True)
class SharedBlob:
    """A local file that peers may ask for."""

    path: Path
    chunk_list: bytes


def leaf_of(chunk: bytes) -> bytes:
    """The digest of one chunk."""
    digest = hashlib.sha256(b"\x00")
    digest.update(chunk)
    return digest.digest()


def chunk_list_of(path: Path) -> ChunkList:
    """Hash a file. Raises: NotFoundError, StorageError."""
    leaves: list[bytes] = []
    size_bytes = 0
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                leaves.append(leaf_of(chunk))
                size_bytes += len(chunk)
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no file {path}") from error
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error}") from error
    return ChunkList(size_bytes, tuple(leaves))


def blob_id_of(path: Path) -> str:
    """The id under which peers fetch this file, 64 lower-case hex digits. Raises: NotFoundError, StorageError."""
    return chunk_list_of(path).blob_id()


def parse_chunk_list(blob_id: str, raw: bytes) -> ChunkList:
    """Read a chunk list from a stranger. Raises: VerificationError (it is not the list of that blob)."""
    if hashlib.sha256(b"\x01" + raw).hexdigest() != blob_id:
        raise VerificationError(f"a peer sent another chunk list than that of blob {blob_id[:12]}")
    try:
        length = _LENGTH.unpack_from(raw)[0]
        header = parse_json(raw[4 : 4 + length])
        size_bytes, body = header["size"], raw[4 + length :]
        if type(size_bytes) is not int or not 0 <= size_bytes <= MAX_BLOB_BYTES:
            raise ValueError("size")
        chunks = ChunkList(size_bytes, tuple(body[at : at + 32] for at in range(0, len(body), 32)))
        if len(chunks.leaves) != -(-size_bytes // CHUNK_BYTES) or chunks.to_bytes() != raw:
            raise ValueError("form")
    except (ValueError, KeyError, TypeError, struct.error, RecursionError) as error:
        raise VerificationError(f"the chunk list of blob {blob_id[:12]} is malformed: {error}") from error
    return chunks


class PartialFile:
    """The verified chunks of a blob on disk; not safe for two fetches to one destination at a time."""

    def __init__(self, destination: Path, chunks: ChunkList) -> None:
        self.chunks = chunks
        self.verified: set[int] = set()
        self._destination = destination
        self._part = destination.with_name(destination.name + ".part")
        self._record = destination.with_name(destination.name + ".have")
        self._part_fd = -1
        self._record_fd = -1

    def open(self) -> None:
        """Open or create the files and hash again what an earlier fetch left. Raises: StorageError."""
        try:
            self._destination.parent.mkdir(parents=True, exist_ok=True)
            self._part_fd = os.open(self._part, os.O_RDWR | os.O_CREAT, 0o600)
            os.ftruncate(self._part_fd, self.chunks.size_bytes)
            self._record_fd = os.open(self._record, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            for index in self._recorded():
                if self.chunks.is_chunk(index, os.pread(self._part_fd, CHUNK_BYTES, index * CHUNK_BYTES)):
                    self.verified.add(index)
        except OSError as error:
            self.close()
            raise StorageError(f"{self._part} cannot be used: {error}") from error

    def _recorded(self) -> list[int]:
        raw = self._record.read_bytes()
        numbers = {_LENGTH.unpack_from(raw, at)[0] for at in range(0, len(raw) - len(raw) % 4, 4)}
        return sorted(number for number in numbers if number < len(self.chunks.leaves))

    def store(self, index: int, chunk: bytes) -> bool:
        """Check and keep a chunk; False when it is not the right one. Raises: StorageError."""
        if not self.chunks.is_chunk(index, chunk):
            return False
        try:
            os.pwrite(self._part_fd, chunk, index * CHUNK_BYTES)
            os.write(self._record_fd, _LENGTH.pack(index))
        except OSError as error:
            raise StorageError(f"{self._part} cannot be written: {error}") from error
        return True

    def finish(self) -> None:
        """Put the complete file in its place, durably. Raises: StorageError."""
        try:
            os.fsync(self._part_fd)
            self._part.replace(self._destination)
            self._record.unlink()
        except OSError as error:
            raise StorageError(f"{self._destination} cannot be written: {error}") from error

    def close(self) -> None:
        """Close both files; what was fetched stays for the next try."""
        for fd in (self._part_fd, self._record_fd):
            if fd >= 0:
                os.close(fd)
        self._part_fd = self._record_fd = -1
