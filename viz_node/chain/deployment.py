"""Where a market lives: chain, addresses, first block and code; one file that all its nodes share."""

import json
import re
from dataclasses import asdict, dataclass

from viz_node.chain.contract import Artifact, load_artifact
from viz_node.chain.hashing import keccak
from viz_node.chain.rpc import JsonRpc, to_bytes
from viz_node.chain.signing import KeySigner, Signer
from viz_node.chain.transactions import chain_id_of, send, sign_prepared, wait_for
from viz_node.domain.ids import Account, parse_account
from viz_node.errors import ChainUnavailableError, TransactionRevertedError, UsageError, VerificationError

MAX_DEPLOYMENT_BYTES = 4096
MARKET_VERSION = 2
"""Raised when a market's calls, entries or signatures change their meaning; the contract's EIP-712 domain names it."""
DEFAULT_WINDOW_SECONDS = 24 * 3600
NOBODY = Account("0x" + "00" * 20)
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Deployment:
    """A market; `block` is the first that may hold its events, `code_digest` the Keccak-256 of its code."""

    chain_id: int
    market: Account
    token: Account
    block: int
    code_digest: str
    version: int = MARKET_VERSION

    def to_bytes(self) -> bytes:
        """The file that `parse_deployment` reads."""
        return json.dumps(asdict(self), indent=2).encode() + b"\n"


def parse_deployment(raw: bytes) -> Deployment:
    """Read a deployment file. Raises: VerificationError."""
    if len(raw) > MAX_DEPLOYMENT_BYTES:
        raise VerificationError("the deployment file is larger than 4096 bytes")
    try:
        body = json.loads(raw)
        _check_version(body.get("version", 1))
        found = Deployment(**body)
        numbers = found.chain_id, found.block
        if not all(type(number) is int and 0 <= number < 2**63 for number in numbers):
            raise ValueError("a number is out of range")
        if _DIGEST.fullmatch(found.code_digest) is None:
            raise ValueError("code_digest is not 64 hex digits")
        return Deployment(
            found.chain_id, parse_account(found.market), parse_account(found.token), found.block, found.code_digest
        )
    except (ValueError, TypeError, AttributeError, RecursionError, UsageError) as error:
        raise VerificationError(
            f"the deployment file is malformed: {error}", "ask its publisher for a new one"
        ) from error


def _check_version(version: object) -> None:
    if type(version) is not int:
        raise ValueError("the version is not a number")
    if version != MARKET_VERSION:
        raise VerificationError(
            f"the market is of version {version}, and this program speaks version {MARKET_VERSION}",
            "name a market of that version, or install the release that the market was deployed with",
        )


@dataclass(frozen=True)
class Setup:
    """What is fixed for ever when a market is deployed.

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

    def fields(self, token: Account) -> tuple[object, ...]:
        """The contract's Setup."""
        windows = self.close_seconds, self.delivery_seconds, self.dispute_seconds, self.veto_seconds
        return token, self.platform, self.platform_fee, self.steward, windows


def deploy(rpc_url: str, private_key: bytes, setup: Setup, timeout_seconds: float = 120) -> Deployment:
    """Deploy a market.

    Raises: ChainUnavailableError, InsufficientFundsError, TransactionRevertedError, DeadlineError.
    """
    rpc, signer = JsonRpc(rpc_url), KeySigner(private_key)
    try:
        token, block = setup.token, 0
        if token is None:
            token, block = _create(rpc, signer, load_artifact("TestToken").creation_data(), timeout_seconds)
        data = load_artifact("Market").creation_data(setup.fields(token))
        market, market_block = _create(rpc, signer, data, timeout_seconds)
        code = to_bytes(rpc.call("eth_getCode", market, "latest"))
        if not is_market_code(code, load_artifact("Market")):
            raise ChainUnavailableError("the chain holds another code than the one that was deployed")
        return Deployment(chain_id_of(rpc), market, token, min(block or market_block, market_block), keccak(code).hex())
    finally:
        rpc.close()


def is_market_code(code: bytes, artifact: Artifact) -> bool:
    """Whether `code` is the artifact's, apart from the immutables that its constructor sets."""
    return artifact.masked(code) == artifact.masked(artifact.deployed)


def _create(rpc: JsonRpc, signer: Signer, data: bytes, timeout_seconds: float) -> tuple[Account, int]:
    nonce = int(rpc.call("eth_getTransactionCount", signer.account, "pending"), 16)
    signed = sign_prepared(rpc, signer, nonce, None, data)
    send(rpc, signed.raw)
    body = wait_for(rpc, signed.tx_hash, timeout_seconds)
    address = body.get("contractAddress")
    if int(body["status"], 16) != 1 or not isinstance(address, str):
        raise TransactionRevertedError("the chain refused the deployment", "deploy again with more gas money")
    return parse_account(address), int(body["blockNumber"], 16)
