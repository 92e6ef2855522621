"""Test money on a development chain: gas by ordinary transfers, tokens minted, everything in blocks.

A balance that is set from outside is in no block: until the next one, what the chain answers and what its latest block
commits to are different things, and every audit says so. `tests/integration/test_daemon_chains.py`.
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from viz_node.chain.account.deploy import Setup, deploy
from viz_node.chain.account.sending import wait_for
from viz_node.chain.account.signing import account_of_key
from viz_node.chain.contract.artifact import load_artifact, words
from viz_node.chain.contract.ledger import TRANSFER_TOPIC, topic_of
from viz_node.chain.contract.refusals import translate_refusal
from viz_node.chain.node.rpc import JsonRpc, RpcRefusedError, to_bytes, to_hex, to_int
from viz_node.domain.deployment import NOBODY, Deployment
from viz_node.domain.ids import Account, parse_account
from viz_node.errors import ChainUnavailableError

GAS_MONEY_WEI = 10**18
WAIT_SECONDS = 30
DEV_PLATFORM_FEE = 300
# The shortest that the contract allows, so that a person can see a refund or a settlement happen.
DEV_WINDOW_SECONDS = 600


def give_gas(rpc_url: str, account: str) -> None:
    """Send the account what it lacks of one coin. Raises: ChainUnavailableError, DeadlineError."""
    with _development_chain(rpc_url) as rpc:
        missing = GAS_MONEY_WEI - to_int(rpc.call("eth_getBalance", account, "latest"))
        if missing > 0:
            _send(rpc, {"to": account, "value": hex(missing)})


def fund(rpc_url: str, deployment: Deployment, account: str, tokens: int) -> None:
    """Give gas money, and mint test tokens up to `tokens` units. Raises: ChainUnavailableError, DeadlineError."""
    give_gas(rpc_url, account)
    token = load_artifact("TestToken")
    with _development_chain(rpc_url) as rpc:
        query = {"to": deployment.token, "data": to_hex(token.call_data("balanceOf", account))}
        held = words(to_bytes(rpc.call("eth_call", query, "latest")))
        missing = tokens - (held[0] if held else 0)
        if missing > 0:
            _send(rpc, {"to": deployment.token, "data": to_hex(token.call_data("mint", account, missing))})


def fund_once(rpc_url: str, deployment: Deployment, account: str, tokens: int) -> None:
    """Fund an account for which no token was minted yet: what it spends does not come back at the next start.

    The chain itself remembers, so that chain and memory are lost together or not at all. The tokens come last: what
    ends between the two is begun again. Raises: ChainUnavailableError, DeadlineError.
    """
    with _development_chain(rpc_url) as rpc:
        minted = [to_hex(TRANSFER_TOPIC), topic_of(int(NOBODY, 16)), topic_of(int(account, 16))]
        place = {"address": deployment.token, "fromBlock": hex(deployment.block), "toBlock": "latest"}
        is_funded = bool(rpc.call("eth_getLogs", place | {"topics": minted}))
    if not is_funded:
        fund(rpc_url, deployment, account, tokens)


def deploy_for_development(rpc_url: str) -> Deployment:
    """Deploy market and test token with a throw-away key.

    Platform and steward are accounts whose keys Anvil holds and everybody knows.
    Raises: ChainUnavailableError, DeadlineError, TransactionRevertedError.
    """
    key = secrets.token_bytes(32)
    give_gas(rpc_url, account_of_key(key))
    with _development_chain(rpc_url) as rpc:
        _, platform, steward, *_ = _accounts(rpc)
    windows = {f"{name}_seconds": DEV_WINDOW_SECONDS for name in ("close", "delivery", "dispute", "veto")}
    return deploy(rpc_url, key, Setup(None, platform, DEV_PLATFORM_FEE, steward, **windows))


def _send(rpc: JsonRpc, order: dict[str, Any]) -> None:
    """A transaction of Anvil's first account, which it signs itself, once it is in a block."""
    wait_for(rpc, rpc.call("eth_sendTransaction", {"from": _accounts(rpc)[0], **order}), WAIT_SECONDS)


def _accounts(rpc: JsonRpc) -> list[Account]:
    """The accounts that Anvil funds and signs for."""
    accounts = [parse_account(text) for text in rpc.call("eth_accounts")]
    if not accounts:
        raise ChainUnavailableError(f"{rpc.name} is no development chain: it has no accounts of its own")
    return accounts


@contextmanager
def _development_chain(rpc_url: str) -> Iterator[JsonRpc]:
    rpc = JsonRpc(rpc_url)
    try:
        yield rpc
    except RpcRefusedError as error:
        raise translate_refusal(error) from error
    finally:
        rpc.close()
