"""Simulate, price, sign, broadcast and wait for one transaction, with no memory of another."""

import time
from typing import Any

from viz_node.chain.account.fees import read_fees
from viz_node.chain.account.library import chain_of
from viz_node.chain.account.signing import Fees, Signer, transaction_fields
from viz_node.chain.contract.refusals import translate_refusal
from viz_node.chain.node.rpc import JsonRpc, RpcRefusedError
from viz_node.domain.ids import Account, format_coin
from viz_node.domain.transaction import SignedTransaction
from viz_node.errors import DeadlineError, InsufficientFundsError

GAS_MARGIN_PERCENT = 125
FIRST_POLL_SECONDS = 0.05
LONGEST_POLL_SECONDS = 2.0
_KNOWN_ALREADY = ("already known", "already imported", "nonce too low", "known transaction", "already exists")
# Said while an earlier attempt with the same nonce waits, or the fees have risen since: they are raised by the sender.
_TOO_CHEAP = ("underpriced", "less than block base fee")


def chain_id_of(rpc: JsonRpc) -> int:
    """The chain's id. Raises: ChainUnavailableError."""
    return chain_of(rpc).chain_id()


def sign_prepared(rpc: JsonRpc, signer: Signer, nonce: int, to: str | None, data: bytes) -> SignedTransaction:
    """Simulate, price and sign. Raises: TransactionRevertedError, InsufficientFundsError, ChainUnavailableError."""
    fees = priced(rpc, signer.account, to, data)
    require_gas_money(rpc, signer.account, fees)
    return signer.sign_transaction(transaction_fields(chain_id_of(rpc), nonce, to, data, fees))


def priced(rpc: JsonRpc, account: Account, to: str | None, data: bytes) -> Fees:
    """Simulate and price, signing nothing. Raises: TransactionRevertedError, ChainUnavailableError."""
    try:
        gas = chain_of(rpc).gas_of(account, to, data) * GAS_MARGIN_PERCENT // 100
    except RpcRefusedError as error:
        raise translate_refusal(error) from error
    return read_fees(rpc, gas, data)


def require_gas_money(rpc: JsonRpc, account: Account, fees: Fees) -> None:
    """Raises: InsufficientFundsError (the account cannot pay for so much gas), ChainUnavailableError."""
    balance = chain_of(rpc).balance_wei(account)
    missing = fees.cost_wei() - balance
    if missing > 0:
        raise InsufficientFundsError(
            f"{account} has {format_coin(balance)} coins and the gas may cost {format_coin(fees.cost_wei())}",
            f"send the account {format_coin(missing)} coins for gas",
        )


def send(rpc: JsonRpc, raw: bytes) -> None:
    """Broadcast; a transaction that the chain knows already is fine. Raises: ChainUnavailableError, and its refusal."""
    try:
        chain_of(rpc).send(raw)
    except RpcRefusedError as error:
        if not any(text in error.message.lower() for text in (*_KNOWN_ALREADY, *_TOO_CHEAP)):
            raise translate_refusal(error) from error


def wait_for(rpc: JsonRpc, tx_hash: str, timeout_seconds: float) -> dict[str, Any]:
    """The receipt, polling with growing pauses. Raises: DeadlineError, ChainUnavailableError."""
    deadline, pause = time.monotonic() + timeout_seconds, FIRST_POLL_SECONDS
    while True:
        receipt = chain_of(rpc).find_receipt(tx_hash)
        if receipt is not None:
            return receipt
        if time.monotonic() + pause > deadline:
            raise DeadlineError(f"transaction {tx_hash} is in no block after {timeout_seconds:g} s", "look again later")
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_POLL_SECONDS)
