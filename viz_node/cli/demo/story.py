"""The story: two owners train one adapter together and sell it, a peer uses it, an auditor re-derives the money."""

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from viz_node.chain.development.anvil import pass_time
from viz_node.chain.development.faucet import DEV_WINDOW_SECONDS
from viz_node.cli.demo.nodes import DemoNode
from viz_node.cli.demo.verdict import Facts
from viz_node.cli.output import Output
from viz_node.content.samples import HARBOUR, ORCHARD, write_samples
from viz_node.daemon.audit import run_audit
from viz_node.daemon.bootstrap import copy_base
from viz_node.domain.ids import TokenAmount, format_tokens, parse_account, parse_amount
from viz_node.domain.royalty import parse_split
from viz_node.errors import VizNodeError
from viz_node.services.library.train_adapter import base_name

ADAPTER = "coast-and-orchard"
ROUNDS = 3
BASE_SEED = 0
# Neither share of this price is a round number: a unit that is lost would show.
PRICE = "5.01"
PROMPT = "In the year two, the"


class Story:
    """Tells it step by step; an error names its step."""

    def __init__(self, output: Output, root: Path, home: Path) -> None:
        self._output = output
        self._root = root
        self._home = home
        self._step = 0
        self._nodes = ExitStack()

    def tell(self) -> Facts:
        """All steps, and what was seen. Raises: VizNodeError."""
        with self._nodes:
            with self._telling("the first owner starts a node, a test chain and the synthetic base model"):
                self._copy_base()
                harbour = self._start("harbour", "--no-sample")
                harbour.finish("base_build", seed=BASE_SEED)
            with self._telling("a second owner and a peer join; each owner adds the texts of its archive"):
                orchard, peer = (self._start(name, "--join", str(harbour.home)) for name in ("orchard", "peer"))
                self._add_works(harbour, orchard)
            accounts = [str(node.ask("id")["account"]) for node in (harbour, orchard)]
            split = f"{accounts[0]}=60,{accounts[1]}=40"
            with self._telling(f"they agree on 60 / 40 and train one adapter in {ROUNDS} rounds; no text leaves home"):
                seen = self._train_together(harbour, orchard, split)
            with self._telling(f"the first owner publishes it for {PRICE}; a buyer's money will wait for the key"):
                harbour.finish("publish", adapter=ADAPTER, price=PRICE)
            with self._telling("the peer licenses, fetches and uses it"):
                seen |= self._use(peer)
            with self._telling("the test chain's clock is turned on until nobody can dispute the key any more"):
                self._pass_time(harbour)
            with self._telling("both owners claim, and an auditor re-derives everything from the chain alone"):
                seen |= self._settle(harbour, orchard)
        return Facts(
            adapter=ADAPTER,
            price=parse_amount(PRICE),
            rounds=ROUNDS,
            agreed_shares=dict(parse_split(split).shares),
            **seen,
        )

    def _copy_base(self) -> None:
        """Take over the base model that a node of this user has built, which would take a minute or more."""
        base = Path("bases") / base_name(BASE_SEED)
        if (self._home / base).is_dir():
            (self._root / "harbour").mkdir(mode=0o700)
            copy_base(self._home / base, self._root / "harbour" / base)
            self._output.line(f"   the base model of {self._home} is used again")

    def _start(self, name: str, *options: str) -> DemoNode:
        return self._nodes.enter_context(DemoNode(self._root / name, self._output, *options))

    @contextmanager
    def _telling(self, text: str) -> Iterator[None]:
        self._step += 1
        self._output.line(f"{self._step}  {text}")
        try:
            yield
        except VizNodeError as error:
            error.message = f"step {self._step} of the demo ({text}): {error.message}"
            error.hint = f"read the logs in {self._root}"
            raise

    def _add_works(self, harbour: DemoNode, orchard: DemoNode) -> None:
        for node, archive, author in ((harbour, HARBOUR, "Harbour Archive"), (orchard, ORCHARD, "Orchard Archive")):
            paths = [str(path) for path in write_samples(self._root / f"{node.home.name}-works", archive)]
            added = node.ask("content_add", paths=paths, rights="owned", author=author)
            if len(added["added"]) != len(paths):
                raise VizNodeError(f"{node.home.name} took in {len(added['added'])} of {len(paths)} works")
            self._output.line(f"   {author}: {len(paths)} works, sealed on its disk")

    def _train_together(self, harbour: DemoNode, orchard: DemoNode, split: str) -> dict[str, Any]:
        terms = {"name": ADAPTER, "content": ["all"], "members": 2, "rounds": ROUNDS, "split": split}
        invite = harbour.ask("federation_create", **terms)
        joined = orchard.ask("federation_join", invite=invite["invite"], content=["all"])
        adapter = harbour.finish("federation_run", federation=invite["federation_id"])
        member = orchard.await_job(str(joined["job_id"]))
        evaluation, training = adapter["evaluation"], adapter["training"]
        before, after = float(evaluation["perplexity_before"]), float(evaluation["perplexity_after"])
        self._output.line(f"   perplexity on held-out text: {before:.2f} before, {after:.2f} after")
        return {
            "perplexity_before": before,
            "perplexity_after": after,
            "rounds_by_holder": {"harbour": int(training["rounds"]), "orchard": int(member["rounds_trained"])},
        }

    def _use(self, peer: DemoNode) -> dict[str, Any]:
        peer.until_found(ADAPTER)
        money = _balance(peer)
        peer.finish("license", adapter=ADAPTER, max_price=PRICE)
        paid = TokenAmount(money - _balance(peer))
        self._output.line(f"   paid {format_tokens(paid)}")
        fetched = peer.finish("fetch", adapter=ADAPTER)
        promised = {str(file["name"]): str(file["digest"]) for file in _manifest(peer)["files"]}
        text = str(peer.finish("generate", adapter=ADAPTER, prompt=PROMPT)["text"])
        self._output.line(f"   {PROMPT}{text[:200]}".replace("\n", " "))
        directory = Path(fetched["directory"])
        return {
            "paid": paid,
            "promised_digests": promised,
            "fetched_digests": {path.name: _sha256(path) for path in sorted(directory.iterdir()) if path.is_file()},
            "text": text,
        }

    def _pass_time(self, harbour: DemoNode) -> None:
        waiting = str(harbour.ask("royalties")["in_escrow"])
        pass_time(_rpc_url(harbour), DEV_WINDOW_SECONDS + 1)
        due = harbour.until("royalties", lambda answer: answer["in_escrow"] == "0.00")["due"]
        self._output.line(f"   {waiting} of the first owner in escrow before, {due} due after")

    def _settle(self, harbour: DemoNode, orchard: DemoNode) -> dict[str, Any]:
        for node in (harbour, orchard):
            claimed = node.finish("royalties_claim")
            self._output.line(f"   {node.home.name} claims {claimed['claimed']}")
        report = run_audit(_rpc_url(harbour), harbour.home / "chain" / "deployment.json", None)
        return {
            "offered_shares": {parse_account(name): share for split in report.splits for name, share in split.shares},
            "sales": tuple(TokenAmount(sale.price) for sale in report.sales),
            "earned": {total.account: total.earned for total in report.totals},
            "claimed": {total.account: total.claimed for total in report.totals},
            "due": {total.account: total.due for total in report.totals},
            "audit_findings": tuple(finding.message for finding in report.findings),
            "audit_proven": report.proof.proven,
        }


def _rpc_url(node: DemoNode) -> str:
    return str(node.ask("status")["chain"]["rpc_url"])


def _balance(node: DemoNode) -> int:
    return parse_amount(str(node.ask("status")["balances"]["token"]))


def _manifest(node: DemoNode) -> dict[str, Any]:
    manifest: dict[str, Any] = node.ask("show", adapter=ADAPTER)["manifest"]
    return manifest


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
