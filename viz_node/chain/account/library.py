"""The one way to web3.py: imported in the thread that first needs it, and never by a node that transacts nothing."""

from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

from viz_node.chain.node.rpc import JsonRpc
from viz_node.domain.ids import Account
from viz_node.domain.transaction import Call

if TYPE_CHECKING:
    from viz_node.chain.account.strict_web3 import Web3Chain


class LazyCall(Call):
    """A call that is encoded when its data is first read, in the thread that prices or signs it."""

    def __init__(self, to: Account, description: str, encode: Callable[[], bytes]) -> None:
        # A frozen dataclass; `data` stays unset, and is read below.
        vars(self).update(to=to, description=description, encode=encode)

    @cached_property
    def data(self) -> bytes:
        """Raises: UsageError (the values do not fit)."""
        return bytes(vars(self)["encode"]())


@lru_cache(maxsize=8)
def chain_of(rpc: JsonRpc) -> "Web3Chain":
    """The chain behind these endpoints as an account needs it."""
    from viz_node.chain.account.strict_web3 import Web3Chain

    return Web3Chain(rpc)


def encode_call(contract: str, function: str, values: Sequence[Any]) -> bytes:
    """The call of a function of `Market` or `TestToken`. Raises: UsageError (the values do not fit)."""
    from viz_node.chain.account import strict_web3

    return strict_web3.encode_call(contract, function, values)


def encode_creation(contract: str, values: Sequence[Any]) -> bytes:
    """The data that creates the contract. Raises: UsageError (the values do not fit)."""
    from viz_node.chain.account import strict_web3

    return strict_web3.encode_creation(contract, values)
