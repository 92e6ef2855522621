"""What a market needs of a chain before it can be there: its newer opcodes, and a payment token that fits.

Each opcode is run in a simulated contract creation, whose answer the chain can only give if it has the opcode.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from viz_node.chain.encoding.abi import decode
from viz_node.chain.encoding.hashing import keccak
from viz_node.chain.node.rpc import JsonRpc, RpcRefusedError, to_bytes, to_hex
from viz_node.domain.ids import TOKEN_DECIMALS, Account
from viz_node.errors import RefusedError

LONGEST_NAME = 40
_ONE = (1).to_bytes(32, "big")
_TRANSIENT = bytes.fromhex("600160005d60005c60005260206000f3")
# Programs that return the word 1 through the opcode, and have opcodes of the year 2015 otherwise.
PROBES: Mapping[str, bytes] = {
    "PUSH0": bytes.fromhex("60015f5260205ff3"),
    "TLOAD": _TRANSIENT,
    "TSTORE": _TRANSIENT,
    "MCOPY": bytes.fromhex("60016000526020600060205e60206020f3"),
}


@dataclass(frozen=True)
class TokenFacts:
    """A token's own facts; `has_permits` and `has_payments` mean signatures of ERC-2612 and ERC-3009."""

    account: Account
    symbol: str
    decimals: int
    has_permits: bool
    has_payments: bool

    def describe(self) -> str:
        """Symbol, decimals, and how a payer can allow a payment."""
        ways = [name for name, has in (("permits", self.has_permits), ("signed payments", self.has_payments)) if has]
        said = f"takes {' and '.join(ways)}" if ways else "takes approvals only"
        return f"{self.symbol or 'no symbol'}, {self.decimals} decimals, {said}"


def require_opcodes(rpc: JsonRpc) -> None:
    """Raises: RefusedError that names the opcodes that the chain lacks, ChainUnavailableError."""
    lacking = [name for name, program in PROBES.items() if _run(rpc, None, program) != _ONE]
    if lacking:
        raise RefusedError(
            f"the chain at {rpc.name} lacks {', '.join(lacking)}, which the market's code uses",
            "deploy on a chain that has had the Cancun upgrade",
        )


def read_token(rpc: JsonRpc, account: Account) -> TokenFacts:
    """The token at `account`. Raises: RefusedError (no code, or not 6 decimals), ChainUnavailableError."""
    try:
        code = to_bytes(rpc.call("eth_getCode", account, "latest"))
    except RpcRefusedError:
        code = b""
    if not code:
        raise RefusedError(f"there is no contract at {account} on this chain", "check --token and --rpc-url")
    decimals = _number(_ask(rpc, account, "decimals()"))
    if decimals != TOKEN_DECIMALS:
        said = "does not tell its decimals" if decimals is None else f"has {decimals} decimals"
        raise RefusedError(
            f"the token at {account} {said}, and markets count in tokens of {TOKEN_DECIMALS}",
            "take a token of 6 decimals, such as USDC or USDT where they have 6",
        )
    has_permits = len(_ask(rpc, account, "DOMAIN_SEPARATOR()") or b"") == 32
    unused = _ask(rpc, account, "authorizationState(address,bytes32)", bytes(64))
    has_payments = has_permits and unused == bytes(32)
    return TokenFacts(account, _text(_ask(rpc, account, "symbol()")), decimals, has_permits, has_payments)


def _ask(rpc: JsonRpc, account: Account, question: str, values: bytes = b"") -> bytes | None:
    return _run(rpc, account, keccak(question.encode())[:4] + values)


def _run(rpc: JsonRpc, to: Account | None, data: bytes) -> bytes | None:
    """What a simulated call, or creation, returns; None when it fails."""
    request = {"data": to_hex(data)} | ({} if to is None else {"to": to})
    try:
        return to_bytes(rpc.call("eth_call", request, "latest"))
    except RpcRefusedError:
        return None


def _number(answer: bytes | None) -> int | None:
    return int.from_bytes(answer) if answer is not None and len(answer) == 32 else None


def _text(answer: bytes | None) -> str:
    """A name as ERC-20 tells it, or as 32 bytes, as older tokens do; cut, and without what a terminal obeys."""
    raw = answer or b""
    try:
        (text,) = decode(("string",), raw)
    except ValueError:
        text = raw.rstrip(b"\0").decode(errors="replace") if len(raw) == 32 else ""
    return "".join(char for char in str(text)[:LONGEST_NAME] if char.isprintable())
