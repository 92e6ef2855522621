"""Peer ids, Ed25519 signatures of peers and EIP-191 signatures of accounts."""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from viz_node.domain.ids import Account, PeerId, parse_account
from viz_node.domain.strict_json import MalformedError
from viz_node.errors import UsageError, VerificationError

_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
# libp2p: identity multihash (00, 36 bytes) of the protobuf key {type: Ed25519 (08 01), data: 32 bytes (12 20)}
_PEER_ID_PREFIX = bytes.fromhex("002408011220")
_PEER_ID_CHARACTERS = 52


def ed25519_public(seed: bytes) -> bytes:
    """The 32-byte public key of a 32-byte seed."""
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


def peer_id_of(public: bytes) -> PeerId:
    """The libp2p peer id of a 32-byte Ed25519 public key, in base58. Raises: UsageError."""
    if len(public) != 32:
        raise UsageError("an Ed25519 public key has 32 bytes")
    # The prefix begins with one zero byte, which base58 writes as one leading "1".
    number = int.from_bytes(_PEER_ID_PREFIX + public, "big")
    text = ""
    while number:
        number, digit = divmod(number, 58)
        text = _ALPHABET[digit] + text
    return PeerId("1" + text)


def public_key_of(peer_id: str) -> bytes:
    """The Ed25519 public key inside a peer id. Raises: VerificationError (not the peer id of such a key)."""
    number = 0
    if len(peer_id) != _PEER_ID_CHARACTERS or not peer_id.startswith("1"):
        raise VerificationError("the peer id is not that of an Ed25519 key")
    for character in peer_id:
        digit = _ALPHABET.find(character)
        if digit < 0:
            raise VerificationError("the peer id is not base58")
        number = number * 58 + digit
    prefix, public = divmod(number, 1 << 256)
    if prefix != int.from_bytes(_PEER_ID_PREFIX, "big"):
        raise VerificationError("the peer id is not that of an Ed25519 key")
    return public.to_bytes(32, "big")


def sign_bytes(seed: bytes, message: bytes) -> bytes:
    """The 64-byte Ed25519 signature; the caller puts its context in front of the message."""
    return Ed25519PrivateKey.from_private_bytes(seed).sign(message)


def verify_bytes(peer_id: str, message: bytes, signature: bytes) -> None:
    """Check that the peer signed the message. Raises: VerificationError."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key_of(peer_id)).verify(signature, message)
    except (InvalidSignature, ValueError) as error:
        raise VerificationError(f"the signature is not of peer {peer_id}") from error


def account_of(account_key: bytes) -> Account:
    """The EVM account of a 32-byte secp256k1 key. Raises: UsageError (zero, or above the curve's order)."""
    from eth_account import Account as EthAccount

    try:
        return parse_account(EthAccount.from_key(account_key).address)
    except Exception as error:
        raise UsageError("the account key is not a secp256k1 key of 32 bytes") from error


def sign_as_account(account_key: bytes, text: str) -> str:
    """The EIP-191 signature of the text as `0x` and 130 hex digits, as wallets make it."""
    from eth_account import Account as EthAccount
    from eth_account.messages import encode_defunct

    signed = EthAccount.sign_message(encode_defunct(text=text), account_key)
    return f"0x{bytes(signed.signature).hex()}"


def recover_account(text: str, signature: str) -> Account:
    """The account that signed the text (EIP-191). Raises: VerificationError (not a signature at all)."""
    from eth_account import Account as EthAccount
    from eth_account.messages import encode_defunct

    try:
        raw = bytes.fromhex(signature.removeprefix("0x"))
        if len(raw) != 65:
            raise MalformedError("a signature has 65 bytes")
        return parse_account(EthAccount.recover_message(encode_defunct(text=text), signature=raw))
    except Exception as error:  # eth_keys and eth_account share no base class for bad signatures
        raise VerificationError("this is not an account's signature") from error
