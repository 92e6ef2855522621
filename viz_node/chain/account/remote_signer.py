"""Sign in another program, which holds the account's key (Web3Signer and its like), and check what comes back.

JSON-RPC over HTTP: `eth_signTransaction`, `eth_sign`, `eth_signTypedData_v4`. The program may refuse, never mislead: a
transaction must be byte for byte the one that was asked for, and each signature that of the account, with a low s.
"""

from typing import Any
from urllib.parse import urlsplit

from viz_node.chain.encoding.hashing import keccak
from viz_node.chain.node.rpc import JsonRpc, RpcRefusedError, to_bytes, to_hex
from viz_node.domain.ids import Account
from viz_node.domain.transaction import SignedTransaction, TypedData
from viz_node.errors import ChainUnavailableError, RefusedError, UnreachableError, VerificationError

HALF_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141 // 2
METHOD_NOT_FOUND = -32601
MAX_RAW_BYTES = 256 * 1024
_QUANTITIES = ("chainId", "nonce", "gas", "maxFeePerGas", "maxPriorityFeePerGas", "value")


class RemoteSigner:
    """Signs through a signer's endpoint; fits `Signer`."""

    asks_nobody = False

    def __init__(self, url: str, account: Account, timeout_seconds: float = 30) -> None:
        self._rpc = JsonRpc(url, timeout_seconds)
        # Errors are shown and logged, and an address may hold a password.
        self._place = urlsplit(url).netloc.rpartition("@")[2] or "signer_url"
        self.account = account

    def sign_transaction(self, fields: dict[str, Any]) -> SignedTransaction:
        """As Signer. Raises: RefusedError, UnreachableError, VerificationError (not what was asked for)."""
        request: dict[str, Any] = {name: hex(fields[name]) for name in _QUANTITIES}
        request |= {"type": "0x2", "from": self.account, "data": to_hex(_data(fields)), "accessList": []}
        if fields.get("to"):
            request["to"] = to_hex(bytes(fields["to"]))
        answer = self._ask("eth_signTransaction", request)
        raw = _bytes_of(answer.get("raw") if isinstance(answer, dict) else answer)
        return checked_transaction(raw, fields, self.account)

    def sign_typed_data(self, data: TypedData) -> bytes:
        """As Signer. Raises: RefusedError, UnreachableError, VerificationError (not what was asked for)."""
        from eth_account.messages import encode_typed_data

        shown = _jsonable(data.body())
        try:
            answer = self._ask("eth_signTypedData_v4", self.account, shown)
        except _UnknownMethodError:
            answer = self._ask("eth_signTypedData", self.account, shown)
        return checked_signature(_bytes_of(answer), encode_typed_data(full_message=data.body()), self.account)

    def sign_text(self, text: str) -> str:
        """The EIP-191 signature of the text, as `0x` and 130 hex digits.

        Raises: RefusedError, UnreachableError, VerificationError.
        """
        from eth_account.messages import encode_defunct

        answer = self._ask("eth_sign", self.account, to_hex(text.encode()))
        return to_hex(checked_signature(_bytes_of(answer), encode_defunct(text=text), self.account))

    def check(self) -> None:
        """Ask for a signature that is good for nothing. Raises: RefusedError, UnreachableError, VerificationError."""
        self.sign_text("viz-node asks whether this signer answers")

    def close(self) -> None:
        """Close the connections."""
        self._rpc.close()

    def _ask(self, method: str, *params: Any) -> Any:
        try:
            return self._rpc.call(method, *params)
        except RpcRefusedError as error:
            if error.code == METHOD_NOT_FOUND and method == "eth_signTypedData_v4":
                raise _UnknownMethodError(f"the signer has no {method}") from error
            raise RefusedError(
                f"the signer refused {method} for {self.account}: {error.message}",
                "look at the signer's own log and rules",
            ) from error
        except ChainUnavailableError as error:
            cause = str(error.__cause__ or error)
            raise UnreachableError(
                f"the signer at {self._place} does not answer: {cause}", "start it, or mend signer_url"
            ) from error


class _UnknownMethodError(RefusedError):
    """The signer spells this method otherwise."""


def checked_transaction(raw: bytes, fields: dict[str, Any], account: Account) -> SignedTransaction:
    """The transaction, if it is the one of these fields, signed by the account. Raises: VerificationError."""
    from eth_account import Account as EthAccount
    from eth_account.typed_transactions import TypedTransaction
    from hexbytes import HexBytes

    try:
        answered = TypedTransaction.from_bytes(HexBytes(raw)).as_dict()
        signature = {name: int(answered[name]) for name in ("v", "r", "s")}
        # Built again from what was asked for, so that nothing of the answer but the signature is taken over.
        expected = TypedTransaction.from_dict({**fields, "accessList": [], **signature})
        is_same, signer = bytes(expected.encode()) == raw, str(EthAccount.recover_transaction(raw)).lower()
    except Exception as error:  # rlp, eth_keys and eth_account share no base class
        raise VerificationError("the signer's answer is not a transaction of type 2") from error
    if not is_same:
        raise VerificationError("the signer signed another transaction than it was asked for", "do not use this signer")
    _check_origin(signer, signature["s"], account)
    return SignedTransaction(raw, to_hex(keccak(raw)), int(fields["nonce"]))


def checked_signature(raw: bytes, message: Any, account: Account) -> bytes:
    """65 bytes with v 27 or 28, if the account signed the message. Raises: VerificationError."""
    from eth_account import Account as EthAccount

    if len(raw) != 65 or raw[64] not in (0, 1, 27, 28):
        raise VerificationError("the signer's answer is not a signature of 65 bytes")
    signature = raw[:64] + bytes([raw[64] % 27 + 27])
    try:
        signer = str(EthAccount.recover_message(message, signature=signature)).lower()
    except Exception as error:  # as above
        raise VerificationError("the signer's answer is not a signature") from error
    _check_origin(signer, int.from_bytes(raw[32:64], "big"), account)
    return signature


def _check_origin(signer: str, s: int, account: Account) -> None:
    if signer != account:
        raise VerificationError(
            f"the signer signed as {signer}, not as {account}", "mend signer_account, or the signer's keys"
        )
    if s > HALF_ORDER:
        raise VerificationError("the signer's signature has a high s, which the chain refuses")


def _bytes_of(answer: Any) -> bytes:
    try:
        raw = to_bytes(answer)
    except ChainUnavailableError as error:
        raise VerificationError("the signer's answer is not hex data") from error
    if len(raw) > MAX_RAW_BYTES:
        raise VerificationError("the signer's answer is too long")
    return raw


def _data(fields: dict[str, Any]) -> bytes:
    data = fields["data"]
    return to_bytes(data) if isinstance(data, str) else bytes(data)


def _jsonable(value: object) -> object:
    """Typed data as JSON: bytes as hex, numbers above 2^53 as text, which other languages read without loss."""
    if isinstance(value, dict):
        return {name: _jsonable(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(item) for item in value]
    if isinstance(value, bytes):
        return to_hex(value)
    if type(value) is int and value >= 1 << 53:
        return str(value)
    return value
