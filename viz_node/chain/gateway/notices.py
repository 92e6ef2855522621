"""Complaints about adapters, answers to them, and who may stop sales."""

from viz_node.chain.contract.ledger import EntryKind
from viz_node.chain.gateway.reader import NOBODY, MarketReader
from viz_node.domain.ids import Account
from viz_node.domain.market import Notice
from viz_node.domain.transaction import Call


class NoticesGateway(MarketReader):
    """What was said against adapters, and the calls that say it."""

    def notices_of(self, adapter_number: int) -> list[Notice]:
        """Complaints and answers, oldest first."""
        entries = self._entries((EntryKind.NOTICE, EntryKind.COUNTER_NOTICE), adapter_number)
        return [Notice(e.sequence, e.key, e.who, e.d, e.a, e.block_number) for e in entries]

    def is_paused(self) -> bool:
        """Whether the steward has stopped all sales."""
        return bool(self._view("paused")[0])

    def steward(self) -> Account | None:
        """Who may stop sales."""
        (account,) = self._view("steward")
        return None if account == NOBODY else Account(account)

    def prepare_notice(self, adapter_number: int, digest: bytes) -> Call:
        """Put a complaint on record by the digest of its text."""
        return self._to_market(f"file a notice about adapter {adapter_number}", "notice", adapter_number, digest)

    def prepare_counter_notice(self, number: int, digest: bytes) -> Call:
        """Put the owner's answer to a notice on record."""
        return self._to_market(f"answer notice {number}", "counterNotice", number, digest)

    def prepare_pause(self) -> Call:
        """Stop all sales; only the steward may."""
        return self._to_market("stop all sales", "pause")

    def prepare_unpause(self) -> Call:
        """Open sales again."""
        return self._to_market("open sales again", "unpause")

    def prepare_suspend(self, offer_id: int, notice: int) -> Call:
        """Stop the sales of one offer because of a notice."""
        return self._to_market(f"suspend offer {offer_id}", "suspend", offer_id, notice)

    def prepare_reopen(self, offer_id: int, notice: int) -> Call:
        """Open a suspended offer, naming the notice that is settled."""
        return self._to_market(f"reopen offer {offer_id}", "reopen", offer_id, notice)

    def prepare_name_steward(self, account: str | None) -> Call:
        """Name who may take over; None takes the name back."""
        return self._to_market(f"name {account or 'nobody'} as next steward", "nameSteward", account or NOBODY)

    def prepare_accept_stewardship(self) -> Call:
        """Take over as the named steward."""
        return self._to_market("take over as steward", "acceptStewardship")

    def prepare_resign_stewardship(self) -> Call:
        """Leave the market permanently without a steward."""
        return self._to_market("leave the market without a steward", "resignStewardship")
