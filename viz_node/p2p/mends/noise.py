"""Noise sessions with few system calls: large raw reads, many messages per read, one send per write.

The handshake is the library's; only the session after it is replaced, with the same bytes on the wire: a 16-bit length,
then a ChaCha20-Poly1305 message of at most 65 535 bytes whose nonce counts up. The library reads the two length bytes
and the body separately from the socket, which costs much of a transfer's time (benchmarks/transfer.py).
"""

import struct
from collections import deque
from typing import Any, Final

import trio
from libp2p.io.exceptions import ConnectionClosedError
from libp2p.security.base_session import BaseSession
from libp2p.security.noise.transport import Transport

MAX_PLAINTEXT_BYTES: Final = 65_519
_RAW_READ_BYTES: Final = 256 * 1024
_LENGTH = struct.Struct(">H")
_COUNTER = struct.Struct("<Q")
_NONCE_PREFIX: Final = bytes(4)


class FastNoiseSession(BaseSession):
    """Takes over a finished handshake; the library's own session must not be used after that."""

    def __init__(self, session: Any, raw: Any) -> None:
        super().__init__(
            local_peer=session.local_peer,
            local_private_key=session.local_private_key,
            remote_peer=session.remote_peer,
            remote_permanent_pubkey=session.remote_permanent_pubkey,
            is_initiator=session.is_initiator,
        )
        protocol = session.conn.noise_state.noise_protocol
        self._encryptor = protocol.cipher_state_encrypt.cipher.cipher
        self._encrypt_count: int = protocol.cipher_state_encrypt.n
        self._decryptor = protocol.cipher_state_decrypt.cipher.cipher
        self._decrypt_count: int = protocol.cipher_state_decrypt.n
        self._raw = raw
        # RawConnection, TrioTCPStream, SocketStream: TCP is the only transport of our hosts.
        self._socket = raw.stream.stream.socket
        self._unsent = bytearray()
        self._sealed = bytearray()
        self._plain: deque[bytes] = deque()
        self._offset = 0
        self._available = 0
        self._write_lock = trio.Lock()

    def get_remote_address(self) -> tuple[str, int] | None:
        """The other end of the socket."""
        address: tuple[str, int] | None = self._raw.get_remote_address()
        return address

    def get_transport_addresses(self) -> Any:
        """As the socket says."""
        return self._raw.get_transport_addresses()

    def get_connection_type(self) -> Any:
        """As the socket says."""
        return self._raw.get_connection_type()

    async def close(self) -> None:
        """Close the socket."""
        await self._raw.close()

    async def read(self, n: int | None = None) -> bytes:
        """`n` bytes, fewer only at the end, or what one message holds. Raises: ConnectionClosedError."""
        if n == 0:
            return b""
        if not await self._has(1 if n is None else n) and not self._available:
            raise ConnectionClosedError("Connection closed")
        size = len(self._plain[0]) - self._offset if n is None else min(n, self._available)
        return self._take(size)

    async def _has(self, size: int) -> bool:
        while self._available < size:
            if not await self._fill():
                return False
        return True

    def _take(self, size: int) -> bytes:
        self._available -= size
        parts: list[bytes] = []
        while size:
            head, start = self._plain[0], self._offset
            part = head[start : start + size] if start or size < len(head) else head
            parts.append(part)
            size -= len(part)
            self._offset = start + len(part)
            if self._offset == len(head):
                self._plain.popleft()
                self._offset = 0
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def _fill(self) -> bool:
        while True:
            data = await self._raw.read(_RAW_READ_BYTES)
            if not data:
                return False
            self._sealed += data
            before = self._available
            self._open_messages()
            if self._available > before:
                return True

    def _open_messages(self) -> None:
        view = bytes(self._sealed)
        position = 0
        while len(view) - position >= _LENGTH.size:
            end = position + _LENGTH.size + _LENGTH.unpack_from(view, position)[0]
            if end > len(view):
                break
            nonce = _NONCE_PREFIX + _COUNTER.pack(self._decrypt_count)
            plain = self._decryptor.decrypt(nonce, view[position + _LENGTH.size : end], None)
            self._decrypt_count += 1
            position = end
            if plain:
                self._plain.append(plain)
                self._available += len(plain)
        if position:
            del self._sealed[:position]

    async def write(self, data: bytes) -> None:
        """Send all of it. Raises: ConnectionClosedError.

        If it is cancelled, what is left is sent before the next data: half a message, or one that is counted and never
        sent, would make all later ones unreadable and end the connection for every stream.
        """
        async with self._write_lock:
            await self._send_rest()
            view = memoryview(data)
            for start in range(0, len(view), MAX_PLAINTEXT_BYTES):
                nonce = _NONCE_PREFIX + _COUNTER.pack(self._encrypt_count)
                message = self._encryptor.encrypt(nonce, view[start : start + MAX_PLAINTEXT_BYTES], None)
                self._encrypt_count += 1
                self._unsent += _LENGTH.pack(len(message)) + message
            await self._send_rest()

    async def _send_rest(self) -> None:
        while self._unsent:
            try:
                # trio's `send`, unlike its `send_all` behind `raw.write`, tells what was sent before a cancellation.
                sent = await self._socket.send(self._unsent)
            except (OSError, trio.ClosedResourceError) as error:
                raise ConnectionClosedError(f"Connection closed: {error}") from error
            del self._unsent[:sent]


class FastNoise(Transport):
    """The library's Noise handshake with the faster session."""

    async def secure_inbound(self, conn: Any) -> Any:
        """Answer a handshake."""
        return FastNoiseSession(await super().secure_inbound(conn), conn)

    async def secure_outbound(self, conn: Any, peer_id: Any) -> Any:
        """Start a handshake with that peer."""
        return FastNoiseSession(await super().secure_outbound(conn, peer_id), conn)
