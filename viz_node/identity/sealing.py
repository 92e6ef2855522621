"""Sealed files and bytes (AES-256-GCM) and keys wrapped for one receiver (HPKE, RFC 9180).

A sealed file is the header, then frames. The header is `VIZSEAL1` and a random 32-byte salt; the key of the file is
HKDF-SHA256(key, salt, "VIZSEAL1" + context), so that one key may seal many files without a nonce ever coming twice, and
a file does not open under another's context. Frames follow STREAM (Hoang, Reyhanitabar, Rogaway, Vizar 2015): each has
1 MiB of plaintext, the last one 0 to 1 MiB; the nonce is the frame's number (11 bytes) and a byte that is 1 in the
last frame, and the header is bound to each frame. Cut, lengthened, reordered, mixed or changed files do not open.
tests/unit/identity/test_sealing.py holds the format to this.
"""

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from viz_node.errors import StorageError, UsageError, VerificationError
from viz_node.files import write_whole

KEY_BYTES = 32
FRAME_BYTES = 1 << 20
_MAGIC = b"VIZSEAL1"
_SALT_BYTES = 32
_TAG_BYTES = 16
_HEADER_BYTES = len(_MAGIC) + _SALT_BYTES
_HPKE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


def new_key() -> bytes:
    """32 random bytes; also good as an X25519 private key or an Ed25519 seed."""
    return secrets.token_bytes(KEY_BYTES)


def x25519_public(private: bytes) -> bytes:
    """The public key, 32 bytes, for `wrap_key`."""
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def wrap_key(public_x25519: bytes, key: bytes, info: bytes) -> bytes:
    """Seal a key so that only the holder of the private key opens it, and only under the same `info`.

    Raises: VerificationError (not a usable public key).
    """
    try:
        return _HPKE.encrypt(key, X25519PublicKey.from_public_bytes(public_x25519), info)
    except Exception as error:  # a low-order point raises differently from a wrong length
        raise VerificationError("the receiver's public key is not usable") from error


def unwrap_key(private: bytes, wrapped: bytes, info: bytes) -> bytes:
    """Open what `wrap_key` made. Raises: VerificationError (other receiver, other info, changed bytes)."""
    own = X25519PrivateKey.from_private_bytes(private)
    try:
        return _HPKE.decrypt(wrapped, own, info)
    except Exception as error:  # InvalidTag, ValueError or an OpenSSL error, all for a stranger's bytes
        raise VerificationError("the wrapped key does not open with this node's key") from error


def seal_bytes(plain: bytes, key: bytes, context: bytes = b"") -> bytes:
    """The sealed form of a small value, in the format of files."""
    header = _MAGIC + secrets.token_bytes(_SALT_BYTES)
    return b"".join([header, *_sealed_frames(_slices(plain), _file_key(key, header, context), header)])


def open_bytes(sealed: bytes, key: bytes, context: bytes = b"") -> bytes:
    """Open what `seal_bytes` made. Raises: VerificationError."""
    header = _checked_header(sealed[:_HEADER_BYTES])
    frames = _slices(sealed[_HEADER_BYTES:], FRAME_BYTES + _TAG_BYTES)
    return b"".join(_opened_frames(frames, _file_key(key, header, context), header))


def seal_file(source: Path, destination: Path, key: bytes, context: bytes = b"") -> None:
    """Write the sealed form of a file, whole or not at all; memory stays at a few frames. Raises: StorageError."""
    header = _MAGIC + secrets.token_bytes(_SALT_BYTES)
    file_key = _file_key(key, header, context)
    with _opened(source) as file:
        frames = _sealed_frames(_blocks(file, FRAME_BYTES), file_key, header)
        write_whole(Path(destination), _chain(header, frames))


def open_sealed_file(source: Path, destination: Path, key: bytes, context: bytes = b"") -> None:
    """Write the plain form of a sealed file, only if all of it is genuine. Raises: VerificationError, StorageError."""
    with _opened(source) as file:
        header = _checked_header(file.read(_HEADER_BYTES))
        frames = _blocks(file, FRAME_BYTES + _TAG_BYTES)
        write_whole(Path(destination), _opened_frames(frames, _file_key(key, header, context), header))


def _file_key(key: bytes, header: bytes, context: bytes) -> AESGCM:
    if len(key) != KEY_BYTES:
        raise UsageError("a sealing key has 32 bytes")
    salt = header[len(_MAGIC) :]
    return AESGCM(HKDF(SHA256(), KEY_BYTES, salt, _MAGIC + context).derive(key))


def _checked_header(header: bytes) -> bytes:
    if len(header) != _HEADER_BYTES or not header.startswith(_MAGIC):
        raise VerificationError("this is not a sealed file")
    return header


def _sealed_frames(blocks: Iterator[tuple[bytes, bool]], file_key: AESGCM, header: bytes) -> Iterator[bytes]:
    for number, (block, is_last) in enumerate(blocks):
        yield file_key.encrypt(_nonce(number, is_last), block, header)


def _opened_frames(frames: Iterator[tuple[bytes, bool]], file_key: AESGCM, header: bytes) -> Iterator[bytes]:
    for number, (frame, is_last) in enumerate(frames):
        try:
            yield file_key.decrypt(_nonce(number, is_last), frame, header)
        except (InvalidTag, ValueError) as error:
            cause = "the key is wrong, or the sealed file was changed, cut or mixed up"
            raise VerificationError(cause, "fetch it again") from error


def _nonce(number: int, is_last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([is_last])


def _slices(data: bytes, size: int = FRAME_BYTES) -> Iterator[tuple[bytes, bool]]:
    starts = range(0, max(len(data), 1), size)
    for start in starts:
        yield data[start : start + size], start == starts[-1]


def _blocks(file: BinaryIO, size: int) -> Iterator[tuple[bytes, bool]]:
    block = file.read(size)
    while True:
        following = file.read(size) if len(block) == size else b""
        yield block, not following
        if not following:
            return
        block = following


def _chain(header: bytes, frames: Iterator[bytes]) -> Iterator[bytes]:
    yield header
    yield from frames


def _opened(path: Path) -> BinaryIO:
    try:
        return Path(path).open("rb")
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}") from error
