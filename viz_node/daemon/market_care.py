"""A market of one's own, without a node: deploy it with the home's account, and check a deployment file.

Before sending the signed creation, the program writes it beside the future file, and keeps it until that file exists.
If a deployment is killed at any moment, the same command completes it, and nobody pays twice.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from viz_node.chain.account.deploy import (
    PlannedMarket,
    Setup,
    complete_market,
    is_creation_of,
    plan_market,
    sign_creation,
)
from viz_node.chain.account.sending import chain_id_of
from viz_node.chain.account.signing import Signer
from viz_node.chain.contract.market_check import check_deployment, market_terms
from viz_node.chain.node.rpc import JsonRpc
from viz_node.daemon.chains import read_deployment
from viz_node.daemon.config import load_config
from viz_node.daemon.secrets import KEYSTORE, unlock
from viz_node.daemon.signers import make_signer, with_account
from viz_node.domain.deployment import NOBODY, Deployment
from viz_node.domain.health import Check, Health
from viz_node.domain.ids import Account
from viz_node.errors import RefusedError, StorageError, VerificationError, already_there
from viz_node.files import write_whole
from viz_node.identity.keystore import new_keys
from viz_node.storage.home import open_home, private_directory

WAIT_SECONDS = 300.0
_MOST_PENDING_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Deployer:
    """The deploying account, the chain, and the file that will describe the market."""

    rpc: JsonRpc
    signer: Signer
    out: Path
    has_keys: bool = True
    """False for a plan in a home without keys, whose account the deployment will draw."""

    @property
    def pending(self) -> Path:
        """Where the signed creation is kept until the file exists."""
        return self.out.with_name(self.out.name + ".pending")

    def plan(self, setup: Setup) -> PlannedMarket:
        """The cost of the deployment; nothing is sent.

        Raises: RefusedError (the chain or the token does not fit), TransactionRevertedError, ChainUnavailableError.
        """
        return plan_market(self.rpc, self.signer.account, setup)

    def run(self, setup: Setup) -> Deployment:
        """Deploy, or complete an interrupted deployment, and write the file.

        Raises: RefusedError (another deployment was begun), and as `plan_market`, `sign_creation`, `complete_market`.
        """
        raw = self._begun(setup)
        if raw is None:
            self.plan(setup)
            raw = sign_creation(self.rpc, self.signer, setup.creation_data()).raw
            write_whole(self.pending, json.dumps({"signed_creation": raw.hex()}).encode())
        deployment = complete_market(self.rpc, raw, setup.token or NOBODY, WAIT_SECONDS)
        for finding in check_deployment(self.rpc, deployment):
            if finding.state is Health.FAIL:
                raise VerificationError(f"the market is not what was deployed: {finding.detail}", finding.fix)
        write_whole(self.out, deployment.to_bytes())
        self.out.chmod(0o644)  # public: nodes and auditors read it
        self.pending.unlink(missing_ok=True)
        return deployment

    def _begun(self, setup: Setup) -> bytes | None:
        """The creation that an earlier run signed. Raises: RefusedError if it is not of this market."""
        try:
            with self.pending.open("rb") as file:
                raw = bytes.fromhex(json.loads(file.read(_MOST_PENDING_BYTES))["signed_creation"])
            is_ours = is_creation_of(raw, chain_id_of(self.rpc), setup)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StorageError(f"cannot read {self.pending}: {error.strerror}", "check the disk") from error
        except (ValueError, KeyError, TypeError):
            is_ours = False
        if not is_ours:
            raise RefusedError(
                f"{self.pending} holds another deployment that was begun",
                "repeat that one with its options, or move the file away",
            )
        return raw


@contextmanager
def open_deployer(home: Path, rpc_url: str, out: Path, is_dry: bool = False) -> Iterator[Deployer]:
    """The home's account, made if there is none yet, while no node uses it; `is_dry`: only to plan, nothing is written.

    Raises: LockedError (a node runs there), RefusedError (`out` exists), and as `unlock` and `with_account`.
    """
    if out.exists():
        raise already_there(out, f"name another --out, or check it: viz-node market check {out} --rpc-url URL")
    has_keys = os.path.lexists(home / KEYSTORE)
    with nullcontext() if is_dry else open_home(home):
        config = load_config(home)
        if not is_dry:
            private_directory(home, KEYSTORE.parent.name)
        keys = unlock(home) if has_keys or not is_dry else new_keys()
        signer = make_signer(config, with_account(config, keys))
        rpc = JsonRpc(rpc_url)
        try:
            yield Deployer(rpc, signer, out, has_keys or not is_dry or bool(config.signer_url))
        finally:
            rpc.close()


def check_market(path: Path, rpc_url: str) -> tuple[list[Check], dict[str, int | str]]:
    """Findings about a deployment file, and the market's terms if the file is true.

    Raises: NotFoundError, VerificationError (no deployment file), ChainUnavailableError.
    """
    deployment, rpc = read_deployment(path), JsonRpc(rpc_url)
    try:
        findings = check_deployment(rpc, deployment)
        is_market = all(finding.state is not Health.FAIL for finding in findings[:2])
        return findings, market_terms(rpc, Account(deployment.market)) if is_market else {}
    finally:
        rpc.close()
