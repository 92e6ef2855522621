"""The market contract as the node reads it, and the calls that change it; holds no key and sends nothing."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from viz_node.chain.contract import account_of_word, load_artifact, words
from viz_node.chain.deployment import Deployment
from viz_node.chain.hashing import keccak, split_proof, split_root
from viz_node.chain.ledger import EntryKind, LedgerEntry, SplitTable, read_entries, read_split_tables, topic_of
from viz_node.chain.rpc import JsonRpc, RpcRefusedError, to_bytes, to_hex, to_int
from viz_node.chain.transactions import Call, chain_id_of, translate_refusal
from viz_node.domain.ids import WHOLE, Account, BasisPoints, TokenAmount, format_amount
from viz_node.domain.royalty import RoyaltySplit
from viz_node.errors import ChainUnavailableError, NotFoundError, VerificationError, VizNodeError


@dataclass(frozen=True)
class ChainAdapter:
    """An adapter as registered; `manifest` and `terms` are SHA-256 digests, `base_model` the digest of its base."""

    number: int
    owner: Account
    manifest: bytes
    base_model: bytes
    terms: bytes


@dataclass(frozen=True)
class Offer:
    """A price for an adapter; duration 0 = perpetual. `shares` is the split's table, checked against its root."""

    offer_id: int
    adapter_number: int
    price: TokenAmount
    split_id: int
    duration_seconds: int
    shares: tuple[tuple[Account, BasisPoints], ...]


@dataclass(frozen=True)
class Balances:
    """What an account has: payment token units, and the chain's own coin."""

    token: TokenAmount
    gas_wei: int


@dataclass(frozen=True)
class Royalty:
    """One account's part of one split: units paid into the split, paid to the account, and due to it now."""

    split_id: int
    share: BasisPoints
    accrued: TokenAmount
    claimed: TokenAmount
    due: TokenAmount


@dataclass(frozen=True)
class Sale:
    """One payment for a license."""

    offer_id: int
    adapter_number: int
    split_id: int
    holder: Account
    price: TokenAmount
    expiry: int
    order_ref: bytes
    tx_hash: str
    block: int


class MarketGateway:
    """One deployed market behind one endpoint; may be used from several threads.

    Every method raises ChainUnavailableError when the endpoint fails.
    """

    def __init__(self, rpc_url: str, deployment: Deployment, timeout_seconds: float = 10) -> None:
        self.deployment = deployment
        self._rpc = JsonRpc(rpc_url, timeout_seconds)
        self._market = load_artifact("Market")
        self._token = load_artifact("TestToken")
        self._read: tuple[str, dict[str, Any]] = ("", {})

    def close(self) -> None:
        """Close the connections."""
        self._rpc.close()

    def check(self) -> None:
        """Raises: ChainUnavailableError naming the cause: down, another chain, no code or other code at the address."""
        chain_id = chain_id_of(self._rpc)
        if chain_id != self.deployment.chain_id:
            raise ChainUnavailableError(
                f"{self._rpc.url} is chain {chain_id}, and the market is on chain {self.deployment.chain_id}",
                "give the RPC address of the market's chain",
            )
        code = to_bytes(self._ask("eth_getCode", self.deployment.market, "latest"))
        if not code:
            raise ChainUnavailableError(
                f"there is no contract at {self.deployment.market}", "the chain was reset, or the file is old"
            )
        if keccak(code).hex() != self.deployment.code_digest:
            raise ChainUnavailableError(f"another contract is at {self.deployment.market}", "check the deployment file")

    def block_number(self) -> int:
        """The latest block."""
        return to_int(self._ask("eth_blockNumber"))

    def block_time(self) -> int:
        """The chain's clock: seconds since 1970 of the latest block; licenses expire by it."""
        return to_int(self._ask("eth_getBlockByNumber", "latest", False).get("timestamp"))

    def find_adapter(self, manifest_digest: bytes, owner: str) -> ChainAdapter | None:
        """The adapter that `owner` registered for this manifest."""
        (number,) = self._view("adapterOf", owner, manifest_digest)
        return self.adapter(number) if number else None

    def adapter(self, number: int) -> ChainAdapter:
        """The adapter with this number. Raises: NotFoundError."""
        owner, _, manifest, base_model, terms = self._view("adapters", number)
        if owner == 0:
            raise NotFoundError(f"the market has no adapter {number}")
        digests = [word.to_bytes(32, "big") for word in (manifest, base_model, terms)]
        return ChainAdapter(number, Account(account_of_word(owner)), *digests)

    def offers_of(self, adapter_number: int) -> list[Offer]:
        """All offers for the adapter, oldest first. Raises: VerificationError when a table is not its root's."""
        entries = [e for e in self._entries(EntryKind.OFFER_CREATED) if e.a == adapter_number]
        tables: dict[int, tuple[tuple[Account, BasisPoints], ...]] = {}
        offers = []
        for entry in entries:
            price, adapter, split_id, duration = self._view("offers", entry.key)
            if adapter != adapter_number:
                raise VerificationError(f"the chain's endpoint contradicts itself about offer {entry.key}")
            if split_id not in tables:
                tables[split_id] = self.split_shares(split_id)
            offers.append(Offer(entry.key, adapter, TokenAmount(price), split_id, duration, tables[split_id]))
        return offers

    def split_shares(self, split_id: int) -> tuple[tuple[Account, BasisPoints], ...]:
        """The split's table, proven by its root on the chain. Raises: NotFoundError, VerificationError."""
        _, _, root = self._view("splits", split_id)
        if root == 0:
            raise NotFoundError(f"the market has no split {split_id}")
        for table in self._scan(read_split_tables, self.deployment.block, split_id):
            if table.shares and int.from_bytes(split_root(table.shares), "big") == root:
                return tuple((account, BasisPoints(share)) for account, share in table.shares)
        raise VerificationError(f"the table of split {split_id} does not lead to its root", "use another RPC")

    def quote(self, offer_id: int) -> TokenAmount:
        """The price now. Raises: TransactionRevertedError for an unknown offer."""
        return TokenAmount(self._view("quote", offer_id)[0])

    def license_expiry(self, offer_id: int, account: str) -> int:
        """When the license ends: 0 = never bought, `ledger.PERPETUAL` = never ends, else seconds since 1970."""
        return self._view("licenses", offer_id, account)[0]

    def balances(self, account: str) -> Balances:
        """What the account has."""
        order = self._order(self.deployment.token, self._token.call_data("balanceOf", account))
        token, wei = self._batch([("eth_call", [order, "latest"]), ("eth_getBalance", [account, "latest"])])
        return Balances(TokenAmount(to_int(token)), to_int(wei))

    def allowance(self, account: str) -> TokenAmount:
        """How much the market may take from the account."""
        data = self._token.call_data("allowance", account, self.deployment.market)
        return TokenAmount(to_int(to_hex(self._call(self.deployment.token, data))))

    def royalties_of(self, account: str) -> list[Royalty]:
        """The account's part of every split that names it, by split. Raises: VerificationError."""
        tables = [table for table in self._tables() if any(name == account for name, _ in table.shares)]
        requests: list[tuple[str, Sequence[Any]]] = [("splits", (table.split_id,)) for table in tables]
        requests += [("claimed", (table.split_id, account)) for table in tables]
        answers = self._views(requests)
        rows = []
        for table, (accrued, _, root), (claimed,) in zip(
            tables, answers[: len(tables)], answers[len(tables) :], strict=True
        ):
            if int.from_bytes(split_root(table.shares), "big") != root:
                raise VerificationError(f"the table of split {table.split_id} does not lead to its root on the chain")
            share = dict(table.shares)[Account(account)]
            due = TokenAmount(accrued * share // WHOLE - claimed)
            rows.append(Royalty(table.split_id, BasisPoints(share), TokenAmount(accrued), TokenAmount(claimed), due))
        return rows

    def sales(self, from_block: int | None = None) -> list[Sale]:
        """Sales in blocks from `from_block`, oldest first."""
        adapter_by_offer = {entry.key: entry.a for entry in self._entries(EntryKind.OFFER_CREATED)}
        return [
            Sale(
                entry.key,
                adapter_by_offer.get(entry.key, 0),
                entry.b,
                entry.who,
                TokenAmount(entry.a),
                entry.c,
                entry.d,
                entry.tx_hash,
                entry.block_number,
            )
            for entry in self._entries(EntryKind.SOLD, from_block)
        ]

    def prepare_publish(
        self,
        digests: tuple[bytes, bytes, bytes],
        split: RoyaltySplit,
        price: TokenAmount,
        duration_seconds: int,
    ) -> Call:
        """Register adapter, split and offer in one; `digests` are those of manifest, base model and terms."""
        accounts = [account for account, _ in split.shares]
        shares = [share for _, share in split.shares]
        data = self._market.call_data("publish", *digests, accounts, shares, price, duration_seconds)
        return self._to_market(data, f"publish adapter {digests[0].hex()[:12]} for {format_amount(price)}")

    def prepare_split(self, split: RoyaltySplit) -> Call:
        """Create a split."""
        columns = [account for account, _ in split.shares], [share for _, share in split.shares]
        return self._to_market(self._market.call_data("createSplit", *columns), "create a royalty split")

    def prepare_offer(self, adapter_number: int, split_id: int, price: TokenAmount, duration_seconds: int) -> Call:
        """Create another offer for an adapter of the sender."""
        data = self._market.call_data("createOffer", adapter_number, split_id, price, duration_seconds)
        return self._to_market(data, f"offer adapter {adapter_number} for {format_amount(price)}")

    def prepare_approve(self, amount: TokenAmount) -> Call:
        """Let the market take up to `amount` from the sender."""
        data = self._token.call_data("approve", self.deployment.market, amount)
        return Call(self.deployment.token, data, f"allow the market to take {format_amount(amount)}")

    def prepare_buy(self, offer_id: int, holder: str, max_price: TokenAmount, order_ref: bytes) -> Call:
        """Pay for a license of `holder`; `order_ref` is 32 bytes that the ledger records."""
        data = self._market.call_data("buy", offer_id, holder, max_price, order_ref)
        return self._to_market(data, f"buy offer {offer_id} for at most {format_amount(max_price)}")

    def prepare_claim(self, split_id: int, account: str) -> Call:
        """Pay out to `account` its due; anyone may send it. Raises: NotFoundError, VerificationError."""
        shares = self.split_shares(split_id)
        share = dict(shares).get(Account(account))
        if share is None:
            raise NotFoundError(f"{account} is not in split {split_id}")
        proof = split_proof(shares, account)
        data = self._market.call_data("claim", split_id, account, share, proof)
        return self._to_market(data, f"claim from split {split_id} for {account}")

    def _to_market(self, data: bytes, description: str) -> Call:
        return Call(self.deployment.market, data, description)

    def _entries(self, kind: EntryKind, from_block: int | None = None) -> list[LedgerEntry]:
        start = self.deployment.block if from_block is None else max(from_block, self.deployment.block)
        return self._scan(read_entries, start, [topic_of(kind)])

    def _tables(self) -> list[SplitTable]:
        return self._scan(read_split_tables, self.deployment.block, None)

    def _scan(self, read: Callable[..., list[Any]], start: int, narrow: Any) -> list[Any]:
        """What `read` finds from `start` to the head, read once per head: pages ask again every few seconds."""
        head = self._ask("eth_getBlockByNumber", "latest", False)
        if not isinstance(head, dict) or not isinstance(head.get("hash"), str):
            raise ChainUnavailableError("the chain's answer about its latest block is malformed", "use another RPC")
        memory = self._read
        if memory[0] != head["hash"]:
            memory = self._read = (head["hash"], {})
        known, key = memory[1], f"{read.__name__} {start} {narrow}"
        if key not in known:
            end = to_int(head.get("number"))
            known[key] = self._translated(read, self._rpc, self.deployment.market, start, end, narrow)
        return list(known[key])

    def _view(self, name: str, *values: Any) -> list[int]:
        return self._outputs(name, self._call(self.deployment.market, self._market.call_data(name, *values)))

    def _outputs(self, name: str, answer: bytes) -> list[int]:
        values = words(answer)
        if len(values) != self._market.outputs[name]:
            raise ChainUnavailableError(f"the chain's answer to {name} is malformed", "use another RPC")
        return values

    def _views(self, requests: Sequence[tuple[str, Sequence[Any]]]) -> list[list[int]]:
        calls = [
            ("eth_call", [self._order(self.deployment.market, self._market.call_data(name, *values)), "latest"])
            for name, values in requests
        ]
        answers = zip(requests, self._batch(calls), strict=True)
        return [self._outputs(name, to_bytes(answer)) for (name, _), answer in answers]

    def _call(self, to: str, data: bytes) -> bytes:
        answer = to_bytes(self._ask("eth_call", self._order(to, data), "latest"))
        if not answer:
            raise ChainUnavailableError(f"there is no contract at {to}", "check the deployment file")
        return answer

    @staticmethod
    def _order(to: str, data: bytes) -> Mapping[str, str]:
        return {"to": to, "data": to_hex(data)}

    def _ask(self, method: str, *params: Any) -> Any:
        return self._translated(self._rpc.call, method, *params)

    def _batch(self, requests: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        return list(self._translated(self._rpc.batch, requests))

    @staticmethod
    def _translated(function: Any, *values: Any) -> Any:
        try:
            return function(*values)
        except RpcRefusedError as error:
            refusal: VizNodeError = translate_refusal(error)
            raise refusal from error
