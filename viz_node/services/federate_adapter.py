"""Train one adapter with other nodes: propose and accept terms, then run the rounds; works never leave their node.

The node that creates a federation coordinates it. A member agrees to the digest of the terms it was shown; the split
is part of them, so that publishing cannot change it later. `equal` is fixed as shares when the federation is full.
"""

import asyncio
import base64
import hashlib
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from viz_node.domain.ids import WHOLE, Account, BasisPoints, PeerId, is_hex_digest, parse_account
from viz_node.domain.job import Job, JobState
from viz_node.domain.manifest import canonical_bytes
from viz_node.domain.records import AdapterRecord
from viz_node.domain.royalty import parse_split, split_from_shares
from viz_node.domain.strict_json import parse_json
from viz_node.errors import (
    DeadlineError,
    NotFoundError,
    PeerUnreachableError,
    RefusedError,
    UnreachableError,
    UsageError,
    VerificationError,
    VizNodeError,
)
from viz_node.ports import Keys, PeerNetwork, Store
from viz_node.services.jobs import JobRunner, Report
from viz_node.services.library import adapter_named
from viz_node.services.manage_works import WorkShelf
from viz_node.services.train_adapter import DEFAULT_RECIPE, RunWorker, Workshop, describe_adapter

WORKER = "viz_node.daemon.federation_worker"
TERMS_METHOD = "federation-terms"
JOIN_METHOD = "federation-join"
EQUAL = "equal"
MAX_MEMBERS = 64
MAX_ROUNDS = 1000
_MAX_MESSAGE_BYTES = 64 * 1024
_RETRY_SECONDS = 3.0
_PATIENCE_SECONDS = 120.0


class Federations:
    """Both roles; what was agreed is kept in the store, what runs is a durable job of kind `federate`."""

    def __init__(
        self,
        store: Store,
        keys: Keys,
        *,
        network: PeerNetwork,
        jobs: JobRunner,
        works: WorkShelf,
        workshop: Workshop,
        directory: Path,
        run_worker: RunWorker,
    ) -> None:
        self._store = store
        self._keys = keys
        self._network = network
        self._jobs = jobs
        self._works = works
        self._workshop = workshop
        self._directory = directory
        self._run_worker = run_worker

    def create(
        self, name: str, content: list[str], members: int, rounds: int, split: str, base: str | None
    ) -> dict[str, str]:
        """Propose a federated adapter; its id and invitation. Raises: UsageError, InvalidSplitError, NotFoundError."""
        self._workshop.check_new_name(name)
        if any(body["name"] == name and body["role"] == "coordinator" for body in self._store.list_federations()):
            raise UsageError(f"there is already a federation {name}", "choose another name")
        if not 2 <= members <= MAX_MEMBERS or not 1 <= rounds <= MAX_ROUNDS:
            raise UsageError(f"a federation has 2 to {MAX_MEMBERS} members and 1 to {MAX_ROUNDS} rounds")
        chosen = self._workshop.find_base(base)
        if not is_hex_digest(chosen["digest"]):
            raise UsageError("a federation needs an installed base model", "viz-node base list")
        terms = {
            "name": name,
            "base": {"name": chosen["name"], "digest": chosen["digest"]},
            "rounds": rounds,
            "members": members,
            "split": EQUAL if split == EQUAL else dict(parse_split(split).shares),
            "recipe": dict(DEFAULT_RECIPE),
            "run_seed": secrets.token_hex(16),
        }
        federation_id = secrets.token_hex(16)
        body = {
            "federation_id": federation_id,
            "name": name,
            "role": "coordinator",
            "terms": terms,
            "works": [work.work_id for work in self._works.select(content)],
            "joined": {self._keys.peer_id: self._keys.account},
            "job": None,
        }
        self._store.save_federation(federation_id, body)
        return {"federation_id": federation_id, "invite": self._invite(federation_id, name)}

    async def join(self, invite: str, content: list[str]) -> dict[str, Any]:
        """Accept an invitation with works of this node and wait, as a job, for the rounds.

        Raises: UsageError, NotFoundError (the base model), RefusedError (it is full), VerificationError,
        PeerUnreachableError.
        """
        asked = parse_invite(invite)
        federation_id, peer_id = asked["federation_id"], PeerId(asked["peer_id"])
        if peer_id == self._keys.peer_id:
            raise UsageError("this node coordinates that federation", "send the invitation to the other members")
        if any(body["federation_id"] == federation_id for body in self._store.list_federations()):
            raise UsageError("this node is already a member", f"viz-node federation status {federation_id[:12]}")
        answer = await self._ask_terms(peer_id, asked["addresses"], federation_id)
        terms = check_terms(answer["terms"])
        if terms["name"] != asked["name"]:
            raise VerificationError("the terms are of another federation than the invitation")
        self._workshop.find_base(terms["base"]["digest"])
        works = [work.work_id for work in self._works.select(content)]
        wish = {
            "federation_id": federation_id,
            "account": self._keys.account,
            "terms_digest": terms_digest(terms),
        }
        await self._network.request(peer_id, JOIN_METHOD, canonical_bytes(wish), addresses=tuple(asked["addresses"]))
        body = {
            "federation_id": federation_id,
            "name": terms["name"],
            "role": "member",
            "terms": terms,
            "works": works,
            "peer_id": peer_id,
            "addresses": asked["addresses"],
            "joined": {self._keys.peer_id: self._keys.account},
            "job": None,
        }
        self._store.save_federation(federation_id, body)
        self._submit(body)
        return self._describe(body)

    def run(self, federation: str) -> Job:
        """Start the rounds of a full federation that this node created. Raises: NotFoundError, UsageError."""
        body = self._store.find_federation(federation)
        if body["role"] != "coordinator":
            raise UsageError("another node runs this federation", "see `viz-node federation status`")
        missing = int(body["terms"]["members"]) - len(body["joined"])
        if missing > 0:
            raise UsageError(
                f"{missing} of {body['terms']['members']} members have not joined yet",
                "send them the invitation; see `viz-node federation status`",
            )
        job = self._job_of(body)
        if job is not None and job.state in {JobState.QUEUED, JobState.RUNNING, JobState.DONE}:
            return job
        return self._submit(body)

    def status(self, federation: str | None = None) -> dict[str, Any] | list[dict[str, Any]]:
        """One federation, or all. Raises: NotFoundError."""
        if federation is not None:
            return self._describe(self._store.find_federation(federation))
        return [self._describe(body) for body in self._store.list_federations()]

    async def on_terms(self, peer_id: PeerId, payload: bytes) -> bytes:
        """A peer asks for the terms of a federation of this node."""
        body = self._coordinated(_read_message(payload, {"federation_id"})["federation_id"])
        job = self._job_of(body)
        return canonical_bytes({"terms": body["terms"], "ended": job is not None and job.state is JobState.DONE})

    async def on_join(self, peer_id: PeerId, payload: bytes) -> bytes:
        """A peer, known by its connection, agrees to the terms; repeating it changes nothing."""
        wish = _read_message(payload, {"federation_id", "account", "terms_digest"})
        body = self._coordinated(wish["federation_id"])
        account = _account_of_stranger(wish["account"])
        if wish["terms_digest"] != terms_digest(body["terms"]):
            raise RefusedError("these are not the terms of the federation", "ask for a new invitation")
        joined: dict[str, str] = body["joined"]
        if joined.get(peer_id) != account:
            if peer_id in joined or account in joined.values():
                raise RefusedError("this peer or account is already a member")
            if len(joined) >= body["terms"]["members"]:
                raise RefusedError("the federation is full", "ask for a new one")
            joined[peer_id] = account
            if len(joined) == body["terms"]["members"]:
                body["shares"] = agreed_shares(body["terms"]["split"], list(joined.values()))
            self._store.save_federation(body["federation_id"], body)
        return canonical_bytes({"joined": len(joined)})

    async def federate(self, job: Job, report: Report) -> dict[str, Any]:
        """Job: take this node's part until the federation is done."""
        body = self._store.find_federation(str(job.order["federation"]))
        if body["role"] == "coordinator":
            return await self._coordinate(body, job, report)
        while True:
            try:
                return await self._attend(body, report)
            except (UnreachableError, DeadlineError) as error:
                report({"phase": "wait", "step": 0, "steps": body["terms"]["rounds"], "reason": error.message})
            await asyncio.sleep(_RETRY_SECONDS)

    async def _attend(self, body: dict[str, Any], report: Report) -> dict[str, Any]:
        federation_id, peer_id = body["federation_id"], PeerId(body["peer_id"])
        answer = await self._ask_terms(peer_id, body["addresses"], federation_id)
        if answer.get("ended") is True:
            return {"name": body["name"], "federation_id": federation_id, "rounds_trained": 0}
        tunnel = f"fleet:{federation_id}"
        await self._network.close_tunnel(tunnel)
        try:
            port = await self._network.open_tunnel(peer_id, tunnel)
        except RefusedError as error:
            raise PeerUnreachableError("the rounds have not begun") from error
        try:
            order = self._member_order(body, port) | {"patience_seconds": _PATIENCE_SECONDS}
            result = await self._run_worker(WORKER, order, report)
        finally:
            await self._network.close_tunnel(tunnel)
        return {"name": body["name"], "federation_id": federation_id, "rounds_trained": result["rounds_trained"]}

    async def _coordinate(self, body: dict[str, Any], job: Job, report: Report) -> dict[str, Any]:
        name, federation_id, terms = str(body["name"]), body["federation_id"], body["terms"]
        existing = adapter_named(self._store, name)
        if existing is not None:
            if existing.training.get("federation") == federation_id:
                return describe_adapter(existing)
            raise UsageError(f"there is another adapter {name} by now", "the federation cannot be saved")
        out = self._directory / "adapters" / name
        rounds, result = await self._run_rounds(body, out, report)
        record = AdapterRecord(
            name=name,
            adapter_id=None,
            base_name=str(terms["base"]["name"]),
            base_digest=str(terms["base"]["digest"]),
            directory=str(out),
            origin="federated",
            works=tuple(body["works"]),
            training={
                **result["training"],
                "federation": federation_id,
                "members": len(body["joined"]),
                "rounds": len(rounds["rounds"]),
                "job": job.job_id,
            },
            evaluation=result["evaluation"],
            created=job.created,
        )
        self._store.save_adapter(record)
        return describe_adapter(record)

    async def _run_rounds(
        self, body: dict[str, Any], out: Path, report: Report
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """The coordinator's worker and this node's own member, side by side; if one fails, both end."""
        tunnel, others = f"fleet:{body['federation_id']}", set(body["joined"]) - {self._keys.peer_id}
        listening: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def on_event(event: dict[str, Any]) -> None:
            if event.get("event") == "listening" and not listening.done():
                listening.set_result(int(event["fleet_port"]))

        order = self._coordinator_order(body)
        tasks: list[asyncio.Future[dict[str, Any]]] = [asyncio.ensure_future(self._run_worker(WORKER, order, on_event))]
        first: list[asyncio.Future[Any]] = [tasks[0], listening]
        try:
            await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
            if not listening.done():
                raise VizNodeError(f"the coordinator ended early: {await tasks[0]}")
            port = listening.result()
            self._network.serve_tunnel(tunnel, port, lambda peer_id: peer_id in others)
            member = self._member_order(body, port) | {"out_dir": str(out)}
            tasks.append(asyncio.ensure_future(self._run_worker(WORKER, member, report)))
            rounds, result = await asyncio.gather(*tasks)
            return rounds, result
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._network.close_tunnel(tunnel)

    def _coordinator_order(self, body: dict[str, Any]) -> dict[str, Any]:
        state = self._directory / "federations" / str(body["federation_id"])
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
        members = int(body["terms"]["members"])
        return {
            "order": "coordinate",
            "run_id": body["federation_id"],
            "terms_digest": terms_digest(body["terms"]),
            "rounds": body["terms"]["rounds"],
            "state_dir": str(state),
            "members": members,
            "min_members": max(2, -(-2 * members // 3)),
        }

    def _member_order(self, body: dict[str, Any], port: int) -> dict[str, Any]:
        terms = body["terms"]
        texts = {work_id: self._works.text(self._works.find(work_id)) for work_id in body["works"]}
        train, held_out = self._workshop.split_texts(texts, int(terms["recipe"]["seed"]))
        return {
            "order": "member",
            "fleet_address": f"127.0.0.1:{port}",
            "run_id": body["federation_id"],
            "terms_digest": terms_digest(terms),
            "rounds": terms["rounds"],
            "base": self._workshop.find_base(terms["base"]["digest"]),
            "texts": train,
            "eval_texts": held_out,
            "recipe": terms["recipe"],
            "run_seed": terms["run_seed"],
            "name": self._keys.peer_id,
            "final": True,
        }

    async def _ask_terms(self, peer_id: PeerId, addresses: list[str], federation_id: str) -> dict[str, Any]:
        payload = canonical_bytes({"federation_id": federation_id})
        raw = await self._network.request(peer_id, TERMS_METHOD, payload, addresses=tuple(addresses))
        return _read_message(raw, {"terms", "ended"})

    def _coordinated(self, federation_id: object) -> dict[str, Any]:
        for body in self._store.list_federations():
            if body["federation_id"] == federation_id and body["role"] == "coordinator":
                return body
        raise NotFoundError("no such federation here")

    def _submit(self, body: dict[str, Any]) -> Job:
        job = self._jobs.submit("federate", {"name": body["name"], "federation": body["federation_id"]})
        body["job"] = job.job_id
        self._store.save_federation(body["federation_id"], body)
        return job

    def _job_of(self, body: Mapping[str, Any]) -> Job | None:
        return self._jobs.find(str(body["job"])) if body["job"] else None

    def _invite(self, federation_id: str, name: str) -> str:
        body = {
            "federation_id": federation_id,
            "peer_id": self._keys.peer_id,
            "addresses": self._network.addresses[:8],
            "name": name,
        }
        return base64.urlsafe_b64encode(canonical_bytes(body)).decode().rstrip("=")

    def _describe(self, body: Mapping[str, Any]) -> dict[str, Any]:
        job, terms = self._job_of(body), body["terms"]
        is_full = body["role"] == "member" or len(body["joined"]) >= terms["members"]
        facts = {
            "federation_id": body["federation_id"],
            "name": body["name"],
            "role": body["role"],
            "state": str(job.state) if job is not None else ("ready" if is_full else "gathering"),
            "members": terms["members"],
            "rounds": terms["rounds"],
            "split": body.get("shares", terms["split"]),
            "base": terms["base"]["name"],
            "job_id": body["job"],
        }
        if body["role"] == "coordinator":
            facts |= {"joined": sorted(body["joined"].values()), "invite": ""}
            facts["invite"] = self._invite(body["federation_id"], body["name"])
        return facts


def agreed_shares(split: str | Mapping[str, int], accounts: list[str]) -> dict[Account, BasisPoints]:
    """The shares that the terms mean for these members; what `equal` leaves over goes to the first accounts."""
    if split != EQUAL:
        assert not isinstance(split, str)
        return dict(split_from_shares({parse_account(k): BasisPoints(v) for k, v in split.items()}).shares)
    each, left = divmod(WHOLE, len(accounts))
    ordered = sorted(parse_account(account) for account in accounts)
    return {account: BasisPoints(each + (i < left)) for i, account in enumerate(ordered)}


def terms_digest(terms: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical terms; members agree to it, and every message of the rounds repeats it."""
    return hashlib.sha256(canonical_bytes(terms)).hexdigest()


def check_terms(terms: Any) -> dict[str, Any]:
    """A stranger's terms, if they are well-formed. Raises: VerificationError."""
    try:
        if set(terms) != {"name", "base", "rounds", "members", "split", "recipe", "run_seed"}:
            raise ValueError("unknown or missing fields")
        if set(terms["base"]) != {"name", "digest"} or not is_hex_digest(terms["base"]["digest"]):
            raise ValueError("the base model has no digest")
        for field, low, high in (("rounds", 1, MAX_ROUNDS), ("members", 2, MAX_MEMBERS)):
            if type(terms[field]) is not int or not low <= terms[field] <= high:
                raise ValueError(f"{field} is out of range")
        if terms["split"] != EQUAL:
            agreed_shares(terms["split"], [])
        if type(terms["recipe"]["seed"]) is not int or not all(
            isinstance(text, str) and 0 < len(text) <= 200 and text.isprintable()
            for text in (terms["name"], terms["run_seed"], terms["base"]["name"])
        ):
            raise ValueError("a field is malformed")
    except (ValueError, KeyError, TypeError, AttributeError, AssertionError, UsageError) as error:
        raise VerificationError(f"the terms are malformed: {error}") from error
    return dict(terms)


def parse_invite(invite: str) -> dict[str, Any]:
    """Read what `create` printed. Raises: UsageError."""
    try:
        raw = base64.urlsafe_b64decode(invite.strip() + "=" * (-len(invite.strip()) % 4))
        body = _read_message(raw, {"federation_id", "peer_id", "addresses", "name"})
        texts = [body["federation_id"], body["peer_id"], body["name"], *body["addresses"]]
        if not all(isinstance(text, str) and text for text in texts):
            raise ValueError("a field is malformed")
    except (ValueError, TypeError, VerificationError) as error:
        raise UsageError("this is not an invitation", "paste all that `viz-node federation create` printed") from error
    return body


def _account_of_stranger(text: object) -> Account:
    try:
        return parse_account(str(text))
    except UsageError as error:
        raise VerificationError(error.message) from error


def _read_message(payload: bytes, fields: set[str]) -> dict[str, Any]:
    try:
        body = parse_json(payload)
        if len(payload) > _MAX_MESSAGE_BYTES or set(body) != fields or canonical_bytes(body) != payload:
            raise ValueError("unexpected fields or form")
    except (ValueError, TypeError, RecursionError) as error:
        raise VerificationError("the federation message is malformed") from error
    return dict(body)
