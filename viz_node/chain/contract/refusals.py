"""What an endpoint refuses, said with the contract's own error and a next step."""

from viz_node.chain.contract.artifact import load_artifact
from viz_node.chain.node.rpc import RpcRefusedError
from viz_node.domain.ids import format_moment, format_tokens
from viz_node.errors import ChainUnavailableError, InsufficientFundsError, TransactionRevertedError, VizNodeError

_OF_MONEY = {"AllocationExceeded", "AmountMismatch", "CapExceeded", "PriceAboveMax"}
_OF_TIME = {"PausedTooRecently", "RootPending", "TooEarly", "TooLate", "VetoTooLate"}
_HINTS = {
    "AlreadyLicensed": "the license is held already; fetch the adapter",
    "AlreadyRegistered": "the adapter is published already",
    "PriceAboveMax": "look at the offer and raise --max-price",
    "InvalidPlatformFee": "name an account whose key somebody holds",
    "NothingDue": "wait for a sale",
    "ERC20InsufficientAllowance": "approve the market first",
    "OfferClosed": "its owner has withdrawn it, or it is suspended",
    "OfferEscrowed": "order it through the escrow",
    "OfferMetered": "open a channel",
    "OtherOffer": "the market does not offer what the seller's manifest says; look at the listing again, pay nothing",
    "PausedTooRecently": "sales run thirty days between two pauses",
    "SalesPaused": "the steward has stopped all sales, for 30 days at most; claims and refunds go on",
    "PlatformShare": "every split gives the platform its fee",
    "SessionKeyIsContract": "name the account of a key; a contract cannot sign vouchers",
    "TooEarly": "wait until the other side's time is over",
}


def translate_refusal(error: RpcRefusedError) -> VizNodeError:
    """The endpoint's error as one of ours, by the contract's error name when there is one."""
    found = load_artifact("Market").error_of(error.data) or load_artifact("TestToken").error_of(error.data)
    if found is not None and found[0] == "ERC20InsufficientBalance":
        _, has, needs = found[1]
        return InsufficientFundsError(
            f"the account has {format_tokens(has)} and needs {format_tokens(needs)}",
            f"send the account {format_tokens(needs - has)} of the payment token",
        )
    if found is not None:
        name, values = found
        shown = ", ".join(_shown(name, value) for value in values)
        return TransactionRevertedError(f"the contract refused: {name}({shown})", _HINTS.get(name, ""))
    text = error.message.lower()
    if "insufficient funds" in text:
        return InsufficientFundsError("the account cannot pay for gas", "send the account gas money")
    if "revert" in text or error.data:
        return TransactionRevertedError(f"the contract refused: {error.message}")
    return ChainUnavailableError(f"the chain refused the request: {error.message}", "try again")


def _shown(name: str, value: object) -> str:
    """A value of a contract's error: units as tokens, seconds as a time."""
    if isinstance(value, int) and name in _OF_TIME:
        return format_moment(value)
    return format_tokens(value) if isinstance(value, int) and name in _OF_MONEY else str(value)
