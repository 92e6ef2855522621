"""Deploying a market on a chain that exists: fit or refused, priced, signed once, and believed only after a look.

A signed creation is the whole memory: its bytes can be sent again after a crash, and the chain takes them once.
"""

from dataclasses import dataclass, replace

from viz_node.chain.account.library import chain_of, encode_creation
from viz_node.chain.account.sending import chain_id_of, priced, send, sign_prepared, wait_for
from viz_node.chain.account.signing import KeySigner, Signer, fields_of
from viz_node.chain.contract.artifact import load_artifact
from viz_node.chain.contract.requirements import TokenFacts, read_token, require_opcodes
from viz_node.chain.encoding.hashing import keccak
from viz_node.chain.node.rpc import JsonRpc, ask, to_bytes, to_hex
from viz_node.domain.deployment import NOBODY, Deployment
from viz_node.domain.ids import Account, parse_account
from viz_node.domain.transaction import SignedTransaction
from viz_node.errors import ChainUnavailableError, TransactionRevertedError

DEFAULT_WINDOW_SECONDS = 24 * 3600


@dataclass(frozen=True)
class Setup:
    """What is fixed when a market is deployed.

    `token` None deploys a new test token (for test networks only). The platform's fee is in basis points, at most 1000.
    The windows, each from 10 minutes to 30 days, are those of the contract's IWindows.
    """

    token: Account | None = None
    platform: Account = NOBODY
    platform_fee: int = 0
    steward: Account = NOBODY
    close_seconds: int = DEFAULT_WINDOW_SECONDS
    delivery_seconds: int = DEFAULT_WINDOW_SECONDS
    dispute_seconds: int = DEFAULT_WINDOW_SECONDS
    veto_seconds: int = DEFAULT_WINDOW_SECONDS

    def creation_data(self) -> bytes:
        """The data of the transaction that creates the market; `token` must be there."""
        windows = self.close_seconds, self.delivery_seconds, self.dispute_seconds, self.veto_seconds
        fields = self.token, self.platform, self.platform_fee, self.steward, windows
        return encode_creation("Market", [fields])


@dataclass(frozen=True)
class PlannedMarket:
    """What a deployment would be; `gas_wei` is the most that it may cost, a rollup's data fee included."""

    chain_id: int
    token: TokenFacts
    gas_wei: int


def plan_market(rpc: JsonRpc, account: Account, setup: Setup) -> PlannedMarket:
    """What deploying costs `account`; nothing is signed.

    Raises: RefusedError (the chain or the token does not fit), TransactionRevertedError, ChainUnavailableError.
    """
    require_opcodes(rpc)
    token = read_token(rpc, setup.token or NOBODY)
    return PlannedMarket(chain_id_of(rpc), token, priced(rpc, account, None, setup.creation_data()).cost_wei())


def sign_creation(rpc: JsonRpc, signer: Signer, data: bytes) -> SignedTransaction:
    """The creation of a contract, signed and not sent.

    Raises: TransactionRevertedError, InsufficientFundsError, ChainUnavailableError.
    """
    return sign_prepared(rpc, signer, chain_of(rpc).count(signer.account, "pending"), None, data)


def is_creation_of(raw: bytes, chain_id: int, setup: Setup) -> bool:
    """Whether a signed transaction creates this market on this chain. Raises: ValueError (it is no transaction)."""
    fields = fields_of(raw)
    return (fields["chainId"], bytes(fields["to"]), bytes(fields["data"])) == (chain_id, b"", setup.creation_data())


def complete_creation(rpc: JsonRpc, raw: bytes, timeout_seconds: float) -> tuple[Account, int]:
    """Send a signed creation and wait: address and block of the contract. Doing it again does no harm.

    Raises: DeadlineError, TransactionRevertedError, ChainUnavailableError.
    """
    send(rpc, raw)
    receipt = wait_for(rpc, to_hex(keccak(raw)), timeout_seconds)
    address = receipt.get("contractAddress")
    if receipt["status"] != 1 or address is None:
        raise TransactionRevertedError("the chain refused the deployment", "deploy again with more gas money")
    return parse_account(address), receipt["blockNumber"]


def complete_market(rpc: JsonRpc, raw: bytes, token: Account, timeout_seconds: float) -> Deployment:
    """Send a signed creation of a market, wait, and verify what the chain holds.

    Raises: DeadlineError, TransactionRevertedError, ChainUnavailableError.
    """
    market, block = complete_creation(rpc, raw, timeout_seconds)
    code = to_bytes(ask(rpc, "eth_getCode", market, "latest"))
    if not load_artifact("Market").is_code(code):
        raise ChainUnavailableError("the chain holds another code than the one that was deployed")
    return Deployment(chain_id_of(rpc), market, token, block, keccak(code).hex())


def deploy(rpc_url: str, private_key: bytes, setup: Setup, timeout_seconds: float = 120) -> Deployment:
    """Deploy a market in one go, with a new test token unless the setup names one.

    Raises: InsufficientFundsError, DeadlineError, TransactionRevertedError, ChainUnavailableError.
    """
    rpc, signer = JsonRpc(rpc_url), KeySigner(private_key)
    try:
        if setup.token is not None:
            signed = sign_creation(rpc, signer, setup.creation_data())
            return complete_market(rpc, signed.raw, setup.token, timeout_seconds)
        signed = sign_creation(rpc, signer, encode_creation("TestToken", []))
        token, block = complete_creation(rpc, signed.raw, timeout_seconds)
        setup = replace(setup, token=token)
        signed = sign_creation(rpc, signer, setup.creation_data())
        return replace(complete_market(rpc, signed.raw, token, timeout_seconds), block=block)
    finally:
        rpc.close()
