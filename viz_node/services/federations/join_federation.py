"""Found and join federations: propose terms, agree to their digest, and start the rounds when all are there.

The node that creates a federation coordinates it. A member agrees to the digest of the terms it was shown; the split
is part of them, so that publishing cannot change it later. `equal` is fixed as shares when the federation is full.
"""

import secrets
from collections.abc import Mapping
from typing import Any

from viz_node.domain.federation import (
    EQUAL,
    MAX_MEMBERS,
    MAX_ROUNDS,
    agreed_shares,
    parse_invite,
    parse_message,
    parse_terms,
    terms_digest,
    write_invite,
)
from viz_node.domain.ids import PeerId, is_hex_digest, parse_account
from viz_node.domain.job import Job, JobState
from viz_node.domain.manifest import canonical_bytes
from viz_node.domain.royalty import parse_split
from viz_node.errors import NotFoundError, RefusedError, UsageError, VerificationError
from viz_node.ports.keys import Keys
from viz_node.ports.network import Invitations, Requests
from viz_node.ports.state import Store
from viz_node.services.jobs.runner import JobRunner
from viz_node.services.library.manage_works import WorkShelf
from viz_node.services.library.train_adapter import DEFAULT_RECIPE, Workshop

TERMS_METHOD = "federation-terms"
JOIN_METHOD = "federation-join"


class Federations:
    """What was agreed is kept in the store; what runs is a durable job of kind `federate`."""

    def __init__(
        self, store: Store, keys: Keys, network: Invitations, jobs: JobRunner, works: WorkShelf, workshop: Workshop
    ) -> None:
        self._store = store
        self._keys = keys
        self._network = network
        self._jobs = jobs
        self._works = works
        self._workshop = workshop

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
        if not is_hex_digest(chosen.digest):
            raise UsageError("a federation needs an installed base model", "viz-node base list")
        terms = {
            "name": name,
            "base": {"name": chosen.name, "digest": chosen.digest},
            "rounds": rounds,
            "members": members,
            "split": EQUAL if split == EQUAL else dict(parse_split(split).shares),
            "recipe": dict(DEFAULT_RECIPE),
            "run_seed": secrets.token_hex(16),
        }
        body = self._body(secrets.token_hex(16), "coordinator", terms, content)
        self._store.save_federation(body["federation_id"], body)
        return {"federation_id": body["federation_id"], "invite": self._invite(body)}

    async def join(self, invite: str, content: list[str]) -> dict[str, Any]:
        """Accept an invitation with works of this node and wait, as a job, for the rounds.

        Raises: UsageError, NotFoundError (the base model), RefusedError (it is full), VerificationError,
        PeerUnreachableError.
        """
        asked = parse_invite(invite)
        federation_id, peer_id, addresses = asked["federation_id"], PeerId(asked["peer_id"]), asked["addresses"]
        if peer_id == self._keys.peer_id:
            raise UsageError("this node coordinates that federation", "send the invitation to the other members")
        if any(body["federation_id"] == federation_id for body in self._store.list_federations()):
            raise UsageError("this node is already a member", f"viz-node federation status {federation_id[:12]}")
        answer = await request_terms(self._network, peer_id, addresses, federation_id)
        terms = parse_terms(answer["terms"])
        if terms["name"] != asked["name"]:
            raise VerificationError("the terms are of another federation than the invitation")
        self._workshop.find_base(terms["base"]["digest"])
        body = self._body(federation_id, "member", terms, content) | {"peer_id": peer_id, "addresses": addresses}
        wish = {"federation_id": federation_id, "account": self._keys.account, "terms_digest": terms_digest(terms)}
        await self._network.request(peer_id, JOIN_METHOD, canonical_bytes(wish), addresses=tuple(addresses))
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
        body = self._coordinated(parse_message(payload, {"federation_id"})["federation_id"])
        job = self._job_of(body)
        return canonical_bytes({"terms": body["terms"], "ended": job is not None and job.state is JobState.DONE})

    async def on_join(self, peer_id: PeerId, payload: bytes) -> bytes:
        """A peer, known by its connection, agrees to the terms; repeating it changes nothing."""
        wish = parse_message(payload, {"federation_id", "account", "terms_digest"})
        body = self._coordinated(wish["federation_id"])
        try:
            account = parse_account(str(wish["account"]))
        except UsageError as error:
            raise VerificationError(error.message) from error
        if wish["terms_digest"] != terms_digest(body["terms"]):
            raise RefusedError("these are not the terms of the federation", "ask for a new invitation")
        joined: dict[str, str] = body["joined"]
        if joined.get(peer_id) != account:
            _check_room(body, peer_id, account)
            joined[peer_id] = account
            if len(joined) == body["terms"]["members"]:
                body["shares"] = agreed_shares(body["terms"]["split"], list(joined.values()))
            self._store.save_federation(body["federation_id"], body)
        return canonical_bytes({"joined": len(joined)})

    def _body(self, federation_id: str, role: str, terms: dict[str, Any], content: list[str]) -> dict[str, Any]:
        return {
            "federation_id": federation_id,
            "name": terms["name"],
            "role": role,
            "terms": terms,
            "works": [work.work_id for work in self._works.select(content)],
            "joined": {self._keys.peer_id: self._keys.account},
            "job": None,
        }

    def _coordinated(self, federation_id: object) -> dict[str, Any]:
        for body in self._store.list_federations():
            if body["federation_id"] == federation_id and body["role"] == "coordinator":
                return body
        raise NotFoundError("no such federation here")

    def _submit(self, body: dict[str, Any]) -> Job:
        # Saved before, too: a job that outlives a crash here must find its federation.
        self._store.save_federation(body["federation_id"], body)
        job = self._jobs.submit("federate", {"name": body["name"], "federation": body["federation_id"]})
        body["job"] = job.job_id
        self._store.save_federation(body["federation_id"], body)
        return job

    def _job_of(self, body: Mapping[str, Any]) -> Job | None:
        return self._jobs.find(str(body["job"])) if body["job"] else None

    def _invite(self, body: Mapping[str, Any]) -> str:
        return write_invite(body["federation_id"], body["name"], self._keys.peer_id, self._network.announced)

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
            facts |= {"joined": sorted(body["joined"].values()), "invite": self._invite(body)}
        return facts


async def request_terms(network: Requests, peer_id: PeerId, addresses: list[str], federation_id: str) -> dict[str, Any]:
    """The coordinator's `terms`, and whether the rounds have `ended`. Raises: VerificationError, UnreachableError."""
    payload = canonical_bytes({"federation_id": federation_id})
    raw = await network.request(peer_id, TERMS_METHOD, payload, addresses=tuple(addresses))
    return parse_message(raw, {"terms", "ended"})


def _check_room(body: Mapping[str, Any], peer_id: PeerId, account: str) -> None:
    if peer_id in body["joined"] or account in body["joined"].values():
        raise RefusedError("this peer or account is already a member")
    if len(body["joined"]) >= body["terms"]["members"]:
        raise RefusedError("the federation is full", "ask for a new one")
