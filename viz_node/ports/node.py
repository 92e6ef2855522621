"""A node's facts about itself, and how peers ask for them."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from viz_node.domain.ids import Account, PeerId
from viz_node.domain.market import Balances
from viz_node.domain.peer_address import Neighbour

AnswerPeer = Callable[[PeerId, bytes], Awaitable[bytes]]


class Answering(Protocol):
    """Answers to peers, by method."""

    def serve(self, method: str, answer: AnswerPeer, /) -> None: ...


class Neighbours(Protocol):
    """Where this node listens, and whom it knows."""

    @property
    def addresses(self) -> list[str]: ...
    async def peers(self) -> list[Neighbour]: ...


class Purse(Protocol):
    """The account on the chain; both block."""

    def balances(self, account: Account) -> Balances: ...
    def block_number(self) -> int: ...
