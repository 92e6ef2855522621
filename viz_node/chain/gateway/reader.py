"""What all parts of the gateway share: typed answers of the market, its ledger and its logs."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from viz_node.chain.account.fees import read_fees
from viz_node.chain.account.library import LazyCall, encode_call
from viz_node.chain.contract.artifact import Artifact, load_artifact
from viz_node.chain.contract.ledger import ENTRY_TOPIC, EntryKind, LedgerEntry, entry_of, topic_of
from viz_node.chain.contract.refusals import translate_refusal
from viz_node.chain.gateway.index import LOGS, Fold, LogIndex, Topics
from viz_node.chain.node.endpoints import Endpoints
from viz_node.chain.node.logs import Log
from viz_node.chain.node.rpc import CALL_SECONDS, RpcRefusedError, to_bytes, to_hex, to_int
from viz_node.domain.deployment import NOBODY, Deployment
from viz_node.domain.ids import Account, BasisPoints
from viz_node.domain.market import MarketFacts
from viz_node.domain.transaction import Call
from viz_node.errors import ChainUnavailableError, VizNodeError

__all__ = ["NOBODY", "MarketFacts", "MarketReader"]

View = tuple[str, Sequence[Any]]
Head = dict[str, Any]


class MarketReader:
    """One deployed market behind one endpoint; may be used from several threads.

    Every method raises ChainUnavailableError when the endpoint fails or answers nonsense.
    """

    def __init__(self, rpc: str | Endpoints, deployment: Deployment, timeout_seconds: float = CALL_SECONDS) -> None:
        self.deployment = deployment
        self._rpc = Endpoints([rpc], deployment, timeout_seconds) if isinstance(rpc, str) else rpc
        self._market = load_artifact("Market")
        self._token = load_artifact("TestToken")
        self._index = LogIndex(self._rpc, deployment.market, deployment.block)
        self._facts: MarketFacts | None = None

    def close(self) -> None:
        """Close the connections."""
        self._rpc.close()

    def check(self) -> None:
        """Ask all endpoints.

        Raises: WrongChainError (one is of another chain, or has no code or other code at the market's address),
            ChainUnavailableError (none answers).
        """
        self._rpc.check()

    def block_number(self) -> int:
        """The latest block."""
        return to_int(self._ask("eth_blockNumber"))

    def block_time(self) -> int:
        """The chain's clock: seconds since 1970 of the latest block; licenses and deadlines expire by it."""
        return to_int(self._head().get("timestamp"))

    def cost_of(self, gas: int) -> int:
        """What a transaction of a kilobyte that uses so much gas costs at most in the next blocks, in wei."""
        fees = read_fees(self._rpc, gas, bytes(1024))
        return gas * fees.max_fee + fees.data_fee

    def facts(self) -> MarketFacts:
        """What was fixed at the deployment."""
        if self._facts is None:
            names = ("platform", "platformFee", "closeWindow", "deliveryWindow", "disputeWindow", "vetoWindow")
            platform, fee, *windows = (values[0] for values in self._views([(name, ()) for name in names]))
            self._facts = MarketFacts(None if platform == NOBODY else Account(platform), BasisPoints(fee), *windows)
        return self._facts

    def _coin(self, account: str) -> int:
        return to_int(self._ask("eth_getBalance", account, "latest"))

    def _to_market(self, description: str, name: str, *values: Any) -> Call:
        return LazyCall(self.deployment.market, description, lambda: encode_call("Market", name, values))

    def _view(self, name: str, *values: Any) -> list[Any]:
        return self._views([(name, values)])[0]

    def _views(self, requests: Sequence[View], contract: Artifact | None = None) -> list[list[Any]]:
        """The answers of view functions of the market, or of its token, all of the latest block that answers them."""
        artifact = contract or self._market
        to = self.deployment.market if contract is None else self.deployment.token
        calls = [
            ("eth_call", [{"to": to, "data": to_hex(artifact.call_data(name, *values))}, "latest"])
            for name, values in requests
        ]
        answers = zip(requests, self._batch(calls), strict=True)
        return [self._outputs(artifact, name, to_bytes(answer)) for (name, _), answer in answers]

    def _outputs(self, artifact: Artifact, name: str, answer: bytes) -> list[Any]:
        if not answer:
            raise ChainUnavailableError("there is no contract at the market's address", "check the deployment file")
        try:
            return artifact.outputs_of(name, answer)
        except ValueError as error:
            raise ChainUnavailableError(
                f"the chain's answer to {name} is malformed: {error}", "use another RPC"
            ) from error

    def _entries(
        self,
        kinds: EntryKind | Iterable[EntryKind],
        key: int | None = None,
        who: str | None = None,
        head: Head | None = None,
    ) -> list[LedgerEntry]:
        """Entries of one kind or several in ledger order, narrowed by key and account."""
        narrow = None if key is None else topic_of(key), None if who is None else topic_of(int(who, 16))
        what = topic_of(kinds) if isinstance(kinds, EntryKind) else tuple(map(topic_of, kinds))
        return [entry_of(log) for log in self._follow((to_hex(ENTRY_TOPIC), what, *narrow), LOGS, head)]

    def _logs(self, event: str, number: int | None = None, head: Head | None = None) -> list[Log]:
        """The market's logs of an event in order, narrowed by its first indexed number."""
        narrow = () if number is None else (topic_of(number),)
        return list(self._follow((to_hex(self._market.events[event]), *narrow), LOGS, head))

    def _follow(self, topics: Topics, fold: Fold, head: Head | None = None) -> Any:
        """What the market's logs with these topics lead to; nobody may change it.

        Answers that must fit each other are asked for with one `head`.
        """
        up_to = head or self._head()
        return self._translated(lambda: self._index.look(topics, fold, up_to))

    def _times(self, blocks: Iterable[int]) -> dict[int, int]:
        """The times of these blocks, seconds since 1970."""
        numbers = sorted(blocks)
        answers = self._batch([("eth_getBlockByNumber", [hex(number), False]) for number in numbers]) if numbers else []
        if not all(isinstance(answer, dict) for answer in answers):
            raise ChainUnavailableError("the chain's answer about a block is malformed", "use another RPC")
        return {number: to_int(answer.get("timestamp")) for number, answer in zip(numbers, answers, strict=True)}

    def _head(self) -> Head:
        head = self._ask("eth_getBlockByNumber", "latest", False)
        if not isinstance(head, dict) or not isinstance(head.get("hash"), str):
            raise ChainUnavailableError("the chain's answer about its latest block is malformed", "use another RPC")
        return head

    def _ask(self, method: str, *params: Any) -> Any:
        return self._translated(lambda: self._rpc.call(method, *params))

    def _batch(self, requests: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        return list(self._translated(lambda: self._rpc.batch(requests)))

    @staticmethod
    def _translated(ask: Callable[[], Any]) -> Any:
        try:
            return ask()
        except RpcRefusedError as error:
            refusal: VizNodeError = translate_refusal(error)
            raise refusal from error
