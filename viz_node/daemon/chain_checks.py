"""The chain as a check sees it: do the endpoints answer, are they the market's, how old is the head, is there gas."""

from collections.abc import Sequence
from dataclasses import replace

from viz_node.audit.collect import DEVELOPMENT_CHAINS
from viz_node.chain.gateway.market import MarketGateway
from viz_node.chain.node.endpoints import Endpoints
from viz_node.daemon.clock import now
from viz_node.domain.deployment import Deployment
from viz_node.domain.health import Check, Health, failed, warned, well
from viz_node.domain.ids import Account, format_tokens
from viz_node.errors import ChainUnavailableError, VizNodeError, WrongChainError

ENDPOINT_SECONDS = 3.0
OLD_HEAD_SECONDS = 600
DEAD_HEAD_SECONDS = 3600
_AHEAD_SECONDS = 60
_MOST_ENDPOINTS = 4
# A purchase through escrow, with room for a block that asks twice as much.
_GAS_OF_A_PURCHASE = 200_000
_ANOTHER = "start it, or name another endpoint in rpc_urls"


def check_chain(rpc_urls: Sequence[str], deployment: Deployment, account: Account | None) -> list[Check]:
    """Each endpoint alone, then what the first good one says; bounded in time."""
    found, good = [], []
    for url in rpc_urls[:_MOST_ENDPOINTS]:
        endpoint = Endpoints([url], deployment, ENDPOINT_SECONDS)
        try:
            endpoint.check()
            good.append(url)
        except WrongChainError as error:
            found.append(failed("chain", error.message, error.hint or "compare it with the deployment file"))
        except ChainUnavailableError as error:
            found.append(warned("chain", error.message, _ANOTHER))
        finally:
            endpoint.close()
    if not good:
        # As long as one endpoint answers, the others are no failure of the node.
        return [replace(check, state=Health.FAIL) for check in found]
    others = f", {len(rpc_urls) - len(good)} of {len(rpc_urls)} endpoints are not" if len(good) < len(rpc_urls) else ""
    name = Endpoints([good[0]], deployment).name
    found.append(well("chain", f"{name} is chain {deployment.chain_id}, the market's code is there{others}"))
    market = MarketGateway(Endpoints([good[0]], deployment, ENDPOINT_SECONDS), deployment)
    try:
        found.append(_head(market, deployment.chain_id in DEVELOPMENT_CHAINS))
        if account is not None:
            found.append(_money(market, account))
    except VizNodeError as error:
        found.append(failed("chain", error.message, _ANOTHER))
    finally:
        market.close()
    return found


def _head(market: MarketGateway, is_test: bool) -> Check:
    age = now() - market.block_time()
    if is_test:
        return well(
            "head of the chain", f"a development chain; its clock is {abs(age)} s {'behind' if age > 0 else 'ahead'}"
        )
    if age < -_AHEAD_SECONDS:
        return failed("clock", f"{-age} s behind the chain's", "set the clock; keep NTP running")
    fix = "the endpoint lags or the chain stands still: name another endpoint in rpc_urls; is this clock right?"
    if age > DEAD_HEAD_SECONDS:
        return failed("head of the chain", f"{age} s old", fix)
    if age > OLD_HEAD_SECONDS:
        return warned("head of the chain", f"{age} s old", fix)
    return well("head of the chain", f"{max(age, 0)} s old")


def _money(market: MarketGateway, account: Account) -> Check:
    balances = market.balances(account)
    detail = f"{balances.gas_wei / 10**18:.4f} coins for gas, {format_tokens(balances.token)}"
    if balances.gas_wei < market.cost_of(_GAS_OF_A_PURCHASE):
        return warned("gas and tokens", detail, f"send the chain's coin to {account}: a purchase needs gas")
    return well("gas and tokens", detail)
