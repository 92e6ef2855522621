"""Which chain a node speaks to: a configured one, or in development a local Anvil with the contracts and test money."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from viz_node.chain import anvil
from viz_node.chain.deployment import Deployment, parse_deployment
from viz_node.daemon.config import ANVIL, Config
from viz_node.domain.ids import Account
from viz_node.errors import NotFoundError, UsageError

TEST_MONEY = 1_000 * 10**6


@dataclass(frozen=True)
class Chain:
    """An endpoint and what is deployed there; `owned` when this node started it and ends it."""

    rpc_url: str
    deployment: Deployment
    owned: bool


def join_chain(config: Config, account: Account) -> Chain:
    """Find or start the chain, and in development fund the account.

    Raises: UsageError, NotFoundError, ChainUnavailableError, DeadlineError.
    """
    if not config.dev:
        if not config.rpc_url or not config.deployment:
            raise UsageError("no chain is configured", "set rpc_url and deployment in config.toml, or use --dev")
        return Chain(config.rpc_url, parse_deployment(Path(config.deployment).read_bytes()), owned=False)
    owner = config.join or config.home
    directory, record = owner / "chain", owner / "chain" / "deployment.json"
    binary = shutil.which("anvil") or str(ANVIL)
    if config.join is not None and not record.exists():
        raise NotFoundError(f"{owner} runs no development chain", f"viz-node --home {owner} start --dev")
    chain = anvil.adopt_or_start(directory, Path(binary))
    if not record.exists():
        record.write_bytes(anvil.deploy_for_development(chain.rpc_url).to_bytes())
    deployment = parse_deployment(record.read_bytes())
    anvil.fund(chain.rpc_url, deployment, account, TEST_MONEY)
    return Chain(chain.rpc_url, deployment, owned=config.join is None)


def leave_chain(config: Config, chain: Chain) -> None:
    """End the local chain if this node owns it; its state stays on disk."""
    if chain.owned:
        anvil.stop_anvil(config.home / "chain")
