"""Accounts that are contracts, such as Safe or ERC-4337 wallets: the contract says what it has signed (ERC-1271)."""

from viz_node.chain.encoding.abi import encode
from viz_node.chain.encoding.hashing import keccak
from viz_node.chain.node.rpc import JsonRpc, RpcRefusedError, to_bytes, to_hex
from viz_node.domain.ids import Account

_QUESTION = keccak(b"isValidSignature(bytes32,bytes)")[:4]
_YES = _QUESTION.ljust(32, b"\0")
# Enough for several owners, or for a passkey checked in the EVM; a stranger's contract gets no more of the endpoint.
_GAS = 3_000_000


def accepts_signature(rpc: JsonRpc, account: Account, digest: bytes, signature: bytes, block: int | None) -> bool:
    """Whether the account is a contract that takes this signature of the digest, at a block or now.

    Raises: ChainUnavailableError.
    """
    data = to_hex(_QUESTION + encode(("bytes32", "bytes"), (digest, signature)))
    request = {"to": account, "data": data, "gas": hex(_GAS)}
    try:
        return to_bytes(rpc.call("eth_call", request, "latest" if block is None else hex(block))) == _YES
    except RpcRefusedError:
        return False  # the contract reverted: that is its no
