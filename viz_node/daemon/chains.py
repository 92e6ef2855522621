"""Which chain a node speaks to: a configured one, or in development a local Anvil with the contracts and test money."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from shlex import quote

from viz_node.chain.account.transactions import AT_ONCE, Confirmations
from viz_node.chain.development import anvil, faucet
from viz_node.chain.node.endpoints import Endpoints
from viz_node.chain.node.rpc import JsonRpc, ask, to_int
from viz_node.daemon.anvil_package import need_anvil_program
from viz_node.daemon.config import Config
from viz_node.domain.deployment import MAX_DEPLOYMENT_BYTES, Deployment, parse_deployment
from viz_node.domain.ids import Account
from viz_node.errors import (
    ChainUnavailableError,
    NodeNotRunningError,
    NotFoundError,
    RefusedError,
    UsageError,
    VerificationError,
)
from viz_node.files import kind_of, read_regular_file, write_whole
from viz_node.storage.store import Store

TEST_MONEY = 1_000 * 10**6


@dataclass(frozen=True)
class Chain:
    """The endpoints of a chain and what is deployed there; `owned` when this node started it and ends it."""

    rpc_urls: tuple[str, ...]
    deployment: Deployment
    owned: bool
    confirmations: Confirmations = AT_ONCE


def join_chain(config: Config, account: Account) -> Chain:
    """Find or start the chain, and in development fund the account.

    Raises: UsageError, NotFoundError, NodeNotRunningError, ChainUnavailableError, DeadlineError.
    """
    if not config.dev:
        if not config.rpc_urls or not config.deployment:
            raise UsageError("no chain is configured", "set rpc_urls and deployment in config.toml, or use --dev")
        confirmations = Confirmations(config.show_at, config.book_at)
        chain = Chain(config.rpc_urls, read_deployment(config.home / config.deployment), False, confirmations)
        _check(chain)
        return chain
    if config.join is not None:
        return _join_neighbours_chain(config.join, account)
    directory = config.home / "chain"
    running = anvil.adopt_or_start(directory, need_anvil_program(config.home))
    try:
        return _prepare(directory, running.rpc_url, account, owned=True)
    except BaseException:
        anvil.stop_anvil(directory)
        raise


def _join_neighbours_chain(neighbour: Path, account: Account) -> Chain:
    running = anvil.find_anvil(neighbour / "chain")
    if running is None:
        raise NodeNotRunningError(
            f"no development chain runs on {neighbour}", f"viz-node --home {quote(str(neighbour))} start --dev"
        )
    return _prepare(neighbour / "chain", running.rpc_url, account, owned=False)


def _prepare(directory: Path, rpc_url: str, account: Account, owned: bool) -> Chain:
    """Deploy the contracts once, and fund the account. Raises: ChainUnavailableError, DeadlineError.

    A block is shown at once, and booked once killing the chain's process can no longer undo it.
    """
    record = directory / "deployment.json"
    if not record.exists() or _is_lost(directory, rpc_url, record):
        write_whole(record, faucet.deploy_for_development(rpc_url).to_bytes())
    try:
        deployment = read_deployment(record)
        chain = Chain((rpc_url,), deployment, owned, Confirmations(0, partial(anvil.saved_block, directory)))
        _check(chain)
    except (ChainUnavailableError, VerificationError) as error:
        raise ChainUnavailableError(error.message, f"start it anew without its sales: rm -r {directory}") from error
    faucet.fund_once(rpc_url, deployment, account, TEST_MONEY)
    return chain


def _is_lost(directory: Path, rpc_url: str, record: Path) -> bool:
    """Whether the chain was killed before the blocks of its deployment were saved: nobody has used them."""
    if anvil.saved_block(directory) >= 0:
        return False
    rpc = JsonRpc(rpc_url)
    try:  # the token's block comes first, the market's after it
        return to_int(ask(rpc, "eth_blockNumber")) <= read_deployment(record).block
    except VerificationError:
        return False
    finally:
        rpc.close()


def read_deployment(path: Path) -> Deployment:
    """The deployment in a file. Raises: NotFoundError, UsageError (no file of that kind), VerificationError."""
    try:
        raw = read_regular_file(path, MAX_DEPLOYMENT_BYTES)
    except OSError as error:
        raise NotFoundError(f"cannot read {path}: {error.strerror}", "name the market's deployment file") from error
    try:
        return parse_deployment(raw)
    except VerificationError as error:
        raise VerificationError(f"{path}: {error.message}{kind_of(raw)}", error.hint) from error


def _check(chain: Chain) -> None:
    """Raises: WrongChainError if an endpoint is of another chain, ChainUnavailableError unless one answers."""
    endpoints = Endpoints(chain.rpc_urls, chain.deployment)
    try:
        endpoints.check()
    finally:
        endpoints.close()


def bind_home(home: Path, store: Store, deployment: Deployment) -> None:
    """Remember the market that this home trades on. Raises: RefusedError if it has traded on another one.

    Its licenses, orders and listings belong to that market: on another they would mean something else, or nothing.
    """
    here = f"{deployment.chain_id}:{deployment.market}"
    known = store.settings.get_setting("market")
    if known is not None and known != here and store.outbox.has_transactions():
        chain_id, _, market = known.partition(":")
        raise RefusedError(
            f"{home} trades on market {market} of chain {chain_id}, not on {deployment.market}",
            "take another --home for another market (docs/how-to/second-market.md), or name the first one's file again",
        )
    if known != here:
        store.settings.set_setting("market", here)
