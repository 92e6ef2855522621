"""Vouchers for metered use: what a payer's session key signs and a seller redeems on the chain.

A voucher states life-time totals of one channel, so only the newest counts and an old one is worth nothing. It is
EIP-712 typed data; the market recovers the signer by ECDSA alone, against the session key that was fixed when the
channel was opened, so that no code the payer installs later (EIP-7702) can take a voucher back.
`contracts/test/vectors/vouchers.json` holds this module and the contract to the same bytes.
"""

from coincurve import PrivateKey, PublicKey

from viz_node.chain.encoding.hashing import keccak
from viz_node.domain.deployment import MARKET_VERSION, Deployment
from viz_node.domain.ids import Account
from viz_node.domain.usage import Voucher
from viz_node.errors import UsageError, VerificationError

__all__ = ["Voucher", "Vouchers", "domain_separator", "sign_voucher", "verify_voucher", "voucher_digest"]

SIGNATURE_BYTES = 64
KEY_BYTES = 32
_HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0
_DOMAIN_TYPE = keccak(b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")
_VOUCHER_TYPE = keccak(b"Voucher(uint64 channel,uint128 cumulative,uint64 uses,bytes32 usageRoot)")
_NAME = keccak(b"viz-node")
_VERSION = keccak(str(MARKET_VERSION).encode())
_TOP_BIT = 1 << 255


class Vouchers:
    """Vouchers of one market; fits `ports.keys.VoucherSigning`."""

    def __init__(self, deployment: Deployment) -> None:
        self.domain = domain_separator(deployment.chain_id, deployment.market)

    def session_account(self, session_key: bytes) -> Account:
        """The account that a channel names for this key. Raises: UsageError."""
        return account_of_point(_key(session_key).public_key.format(compressed=False)[1:])

    def sign(self, session_key: bytes, voucher: Voucher) -> bytes:
        """See `sign_voucher`."""
        return sign_voucher(session_key, self.domain, voucher)

    def verify(self, session_account: Account, voucher: Voucher, signature: bytes) -> None:
        """See `verify_voucher`."""
        verify_voucher(session_account, self.domain, voucher, signature)


def domain_separator(chain_id: int, market: Account) -> bytes:
    """The EIP-712 domain of a market: compute it once and keep it."""
    fields = _DOMAIN_TYPE + _NAME + _VERSION + _word(chain_id) + _word(int(market, 16))
    return keccak(fields)


def voucher_digest(domain: bytes, voucher: Voucher) -> bytes:
    """The 32 bytes that are signed."""
    numbers = _word(voucher.channel) + _word(voucher.cumulative) + _word(voucher.uses)
    return keccak(b"\x19\x01" + domain + keccak(_VOUCHER_TYPE + numbers + voucher.usage_root))


def sign_voucher(session_key: bytes, domain: bytes, voucher: Voucher) -> bytes:
    """The signature as 64 bytes, r and vs (EIP-2098), as `settle` takes it. Raises: UsageError (no secp256k1 key)."""
    signature = _key(session_key).sign_recoverable(voucher_digest(domain, voucher), hasher=None)
    s = int.from_bytes(signature[32:64], "big") | (signature[64] * _TOP_BIT)
    return signature[:32] + _word(s)


def verify_voucher(session_account: Account, domain: bytes, voucher: Voucher, signature: bytes) -> None:
    """Check that the contract will take the voucher from this session key. Raises: VerificationError."""
    if len(signature) != SIGNATURE_BYTES:
        raise VerificationError("a voucher's signature has 64 bytes")
    vs = int.from_bytes(signature[32:], "big")
    s = vs & (_TOP_BIT - 1)
    # The contract refuses the other of the two equivalent signatures, so taking it here would be unpaid work.
    if s > _HALF_ORDER:
        raise VerificationError("the voucher's signature is not in its canonical form")
    try:
        recoverable = signature[:32] + _word(s) + bytes([vs >> 255])
        signer = PublicKey.from_signature_and_message(recoverable, voucher_digest(domain, voucher), hasher=None)
    except Exception as error:  # libsecp256k1 raises ValueError and bare Exception for malformed signatures
        raise VerificationError("the voucher's signature is malformed") from error
    if account_of_point(signer.format(compressed=False)[1:]) != session_account:
        raise VerificationError("the voucher is not signed by the channel's session key")


def account_of_point(point: bytes) -> Account:
    """The account of an uncompressed public key, x || y."""
    return Account(f"0x{keccak(point)[-20:].hex()}")


def _key(session_key: bytes) -> PrivateKey:
    try:
        if len(session_key) != KEY_BYTES:  # a shorter one would be filled up with zeros
            raise ValueError("another length")
        return PrivateKey(session_key)
    except ValueError as error:
        raise UsageError("the session key is not a secp256k1 key of 32 bytes") from error


def _word(number: int) -> bytes:
    return number.to_bytes(32, "big")
