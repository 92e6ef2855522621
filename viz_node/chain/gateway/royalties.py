"""Splits, and what they owe to whom."""

from collections.abc import Callable, Sequence

from viz_node.chain.contract.companions import SplitTable, split_table_of
from viz_node.chain.contract.ledger import EntryKind, LedgerEntry
from viz_node.chain.encoding.hashing import split_proof, split_root
from viz_node.chain.gateway.reader import MarketReader, View
from viz_node.domain.counting import counted
from viz_node.domain.ids import Account, BasisPoints, TokenAmount
from viz_node.domain.royalty import Royalty, split_recipient
from viz_node.domain.statement import SplitMovement
from viz_node.domain.transaction import Call
from viz_node.errors import NotFoundError, VerificationError

SPLIT_BITS = 32
_PAYMENTS: dict[EntryKind, tuple[str, Callable[[LedgerEntry], int]]] = {
    EntryKind.SOLD: ("sold", lambda entry: entry.b % (1 << SPLIT_BITS)),
    EntryKind.SETTLED: ("delivered and settled", lambda entry: entry.b % (1 << SPLIT_BITS)),
    EntryKind.REDEEMED: ("used", lambda entry: entry.b),
    EntryKind.POOL_CLAIMED: ("catalogue", lambda entry: entry.b),
    EntryKind.PASSED_ON: ("derived adapter", lambda entry: int(entry.who, 16)),
}
"""How payments come into a split, and which split an entry names."""


class RoyaltyGateway(MarketReader):
    """Who shares what, and the calls that pay it out."""

    def split_shares(self, split_id: int) -> tuple[tuple[Account, BasisPoints], ...]:
        """The split's table, proven by its root on the chain. Raises: NotFoundError, VerificationError."""
        _, _, root = self._view("splits", split_id)
        if not any(root):
            raise NotFoundError(f"the market has no split {split_id}")
        for log in self._logs("SplitTable", split_id):
            table = split_table_of(log)
            if table.shares and split_root(table.shares) == root:
                return tuple((account, BasisPoints(share)) for account, share in table.shares)
        raise VerificationError(f"the table of split {split_id} does not lead to its root", "use another RPC")

    def royalties_of(self, account: Account) -> list[Royalty]:
        """The account's part of every split that names it, by split. Raises: VerificationError."""
        return self._royalties([(table, account) for table in self._tables() if account in dict(table.shares)])

    def lineage_of(self, account: Account) -> list[Royalty]:
        """What `royalties_of` tells, and the same for every split that passes on to one of these, to any depth.

        Raises: VerificationError.
        """
        names, parts = {account}, []
        for table in self._tables():  # by number, and a split passes on to earlier ones only
            found = [(table, name) for name, _ in table.shares if name in names]
            if found:
                parts += found
                names.add(split_recipient(table.split_id))
        return self._royalties(parts)

    def _royalties(self, parts: Sequence[tuple[SplitTable, Account]]) -> list[Royalty]:
        views: list[View] = []
        for table, name in parts:
            views += [("splits", (table.split_id,)), ("claimed", (table.split_id, name))]
        answers, rows = self._views(views), []
        for position, (table, name) in enumerate(parts):
            (accrued, _, root), (claimed,) = answers[2 * position : 2 * position + 2]
            if split_root(table.shares) != root:
                raise VerificationError(f"the table of split {table.split_id} does not lead to its root on the chain")
            share = BasisPoints(dict(table.shares)[name])
            rows.append(Royalty(table.split_id, name, share, TokenAmount(accrued), TokenAmount(claimed)))
        return rows

    def movements(self, account: str, split_ids: Sequence[int]) -> list[SplitMovement]:
        """Every payment into these splits, and every claim of the account from them. Raises: ChainUnavailableError."""
        head, rows = self._head(), []
        for entry in self._entries(_PAYMENTS, head=head):
            what, split_of = _PAYMENTS[EntryKind(entry.kind)]
            if split_of(entry) in split_ids:
                rows.append((entry, what, split_of(entry)))
        claims = self._entries(EntryKind.CLAIMED, who=account, head=head)
        rows += [(entry, "claimed", entry.key) for entry in claims if entry.key in split_ids]
        times = self._times({entry.block_number for entry, _, _ in rows})
        return [
            SplitMovement(
                entry.sequence,
                times[entry.block_number],
                what,
                split_id,
                TokenAmount(entry.a),
                entry.kind == EntryKind.CLAIMED,
                entry.tx_hash,
            )
            for entry, what, split_id in sorted(rows, key=lambda row: row[0].sequence)
        ]

    def prepare_claim(self, split_id: int, account: str) -> Call:
        """Pay out to `account` its due; anyone may send it. Raises: NotFoundError, VerificationError."""
        claim = self._claim(split_id, account)
        return self._to_market(f"claim from split {split_id} for {account}", "claim", *claim)

    def prepare_claim_many(self, claims: Sequence[tuple[int, str]]) -> Call:
        """Several claims, each a split and an account, in one. Raises: NotFoundError, VerificationError."""
        rows = [self._claim(split_id, account) for split_id, account in claims]
        return self._to_market(f"claim from {counted(len(rows), 'split')}", "claimMany", rows)

    def _claim(self, split_id: int, account: str) -> tuple[int, str, int, list[bytes]]:
        shares = self.split_shares(split_id)
        share = dict(shares).get(Account(account))
        if share is None:
            raise NotFoundError(f"{account} is not in split {split_id}")
        return split_id, account, share, split_proof(shares, account)

    def _tables(self) -> list[SplitTable]:
        return [table for log in self._logs("SplitTable") if (table := split_table_of(log)).shares]
