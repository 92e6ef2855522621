"""Whether an account signed a text: by its key, or, if it is a contract, by the contract's own word (ERC-1271)."""

from collections.abc import Sequence
from contextlib import suppress

from viz_node.domain.division import Division, PoolFacts, divide, member_fault, statement_fault
from viz_node.domain.division import is_signed as is_document_signed
from viz_node.domain.ids import Account
from viz_node.domain.pool import PoolMember, PoolRules, UseStatement
from viz_node.domain.signing import text_digest
from viz_node.errors import VerificationError
from viz_node.ports.keys import AccountRecovery
from viz_node.ports.market import Wallets

MAX_SIGNATURE_BYTES = 1024
"""A Safe's signature has 65 bytes for each of its owners."""


class Signatures:
    """Signatures of accounts; all but `recover` may ask the chain, and block."""

    def __init__(self, keys: AccountRecovery, wallets: Wallets) -> None:
        self.recover = keys.recover_account
        self._wallets = wallets

    def is_signed(self, account: Account, text: str, signature: str) -> bool:
        """Asks the chain only if the signature is not that of the account's key. Raises: ChainUnavailableError."""
        with suppress(VerificationError):
            if self.recover(text, signature) == account:
                return True
        return self.accepts(account, text, signature)

    def is_signed_now(self, document: PoolMember | UseStatement) -> bool:
        """`is_signed` for a pool's document. Raises: ChainUnavailableError."""
        account = document.account if isinstance(document, PoolMember) else document.holder
        return self.is_signed(account, document.text(), document.signature)

    def divide(
        self,
        rules: PoolRules,
        facts: PoolFacts,
        members: Sequence[PoolMember],
        statements: Sequence[UseStatement],
        block: int,
    ) -> Division:
        """The division of what is signed; contract accounts are asked as of `block`, which it names if one signed.

        Raises: ChainUnavailableError.
        """

        def signed(document: PoolMember | UseStatement) -> bool:
            return is_document_signed(document, self.recover, self.accepts, block)

        joined = [member for member in members if not member_fault(member, facts, signed)]
        stated = [item for item in statements if not statement_fault(item, facts, signed)]
        documents: list[PoolMember | UseStatement] = [*joined, *stated]
        has_wallets = not all(is_document_signed(item, self.recover, self.accepts, 0) for item in documents)
        return divide(rules, facts, joined, stated, block if has_wallets else 0)

    def accepts(self, account: Account, text: str, signature: str, block: int | None = None) -> bool:
        """Whether the account is a contract that takes the signature, at a block or now.

        Raises: ChainUnavailableError.
        """
        try:
            raw = bytes.fromhex(signature.removeprefix("0x"))
        except ValueError:
            return False
        is_bounded = 0 < len(raw) <= MAX_SIGNATURE_BYTES
        return is_bounded and self._wallets.accepts_signature(account, text_digest(text), raw, block)
