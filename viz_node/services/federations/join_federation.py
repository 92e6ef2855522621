"""Found and join federations: propose terms, agree to their digest, and start the rounds when all are there.

The node that creates a federation coordinates it. A member agrees to the digest of the terms it was shown; the split
is part of them, so that publishing cannot change it later. `equal` is fixed as shares when the federation is full.
"""

import secrets
from dataclasses import dataclass

from viz_node.domain.counting import counted
from viz_node.domain.federation import (
    EQUAL,
    AgreedBase,
    AgreedRecipe,
    Federation,
    FederationStatus,
    FederationTerms,
    Invitation,
    JoinAnswer,
    JoinRequest,
    ProposedSplit,
    Role,
    TermsAnswer,
    TermsQuestion,
    parse_invite,
    parse_message,
    parse_terms_answer,
    write_message,
)
from viz_node.domain.ids import PeerId, is_hex_digest, parse_account
from viz_node.domain.job import Job, JobState
from viz_node.domain.limits import MEMBERS, ROUNDS
from viz_node.domain.orders import FederateOrder, Order
from viz_node.domain.recipe import DEFAULT_RECIPE
from viz_node.domain.royalty import parse_split
from viz_node.errors import NotFoundError, RefusedError, UsageError, VerificationError
from viz_node.ports.keys import Keys
from viz_node.ports.network import Invitations, Requests
from viz_node.ports.state import FederationRecords
from viz_node.services.jobs.runner import JobRunner
from viz_node.services.library.manage_works import WorkShelf
from viz_node.services.library.train_adapter import Workshop

TERMS_METHOD = "federation-terms"
JOIN_METHOD = "federation-join"


@dataclass(frozen=True)
class ProposedFederation:
    """A new federation, and the invitation to it."""

    federation_id: str
    invite: str


class Federations:
    """What was agreed is kept in the store; what runs is a durable job of kind `federate`."""

    def __init__(
        self,
        rows: FederationRecords,
        keys: Keys,
        network: Invitations,
        jobs: JobRunner,
        works: WorkShelf,
        workshop: Workshop,
    ) -> None:
        self._rows = rows
        self._keys = keys
        self._network = network
        self._jobs = jobs
        self._works = works
        self._workshop = workshop

    def create(
        self, name: str, content: list[str], members: int, rounds: int, split: str, base: str | None
    ) -> ProposedFederation:
        """Propose a federated adapter; its id and invitation. Raises: UsageError, InvalidSplitError, NotFoundError."""
        self._workshop.check_new_name(name)
        known = self._rows.list_federations()
        if any(item.name == name and item.role is Role.COORDINATOR for item in known):
            raise UsageError(f"there is already a federation {name}", "choose another name")
        MEMBERS.check(members)
        ROUNDS.check(rounds)
        chosen = self._workshop.find_base(base)
        if not is_hex_digest(chosen.digest):
            raise UsageError("a federation needs an installed base model", "viz-node base list")
        self._workshop.clearance.require(chosen)
        shares: ProposedSplit = EQUAL
        if split != EQUAL:
            shares = {str(account): int(share) for account, share in parse_split(split).shares}
        terms = FederationTerms(
            name=name,
            base=AgreedBase(name=chosen.name, digest=chosen.digest),
            rounds=rounds,
            members=members,
            split=shares,
            recipe=AgreedRecipe(**DEFAULT_RECIPE),
            run_seed=secrets.token_hex(16),
        )
        federation = self._new(secrets.token_hex(16), Role.COORDINATOR, terms, content)
        self._rows.save_federation(federation)
        return ProposedFederation(federation.federation_id, self._invite(federation))

    async def join(self, invite: str, content: list[str]) -> FederationStatus:
        """Accept an invitation with works of this node and wait, as a job, for the rounds.

        Raises: UsageError, NotFoundError (the base model), RefusedError (it is full), VerificationError,
        PeerUnreachableError.
        """
        asked = parse_invite(invite)
        if asked.peer_id == self._keys.peer_id:
            raise UsageError("this node coordinates that federation", "send the invitation to the other members")
        if any(item.federation_id == asked.federation_id for item in self._rows.list_federations()):
            known = f"viz-node federation status {asked.federation_id[:12]}"
            raise UsageError("this node is already a member", known)
        answer = await request_terms(self._network, asked.peer_id, asked.addresses, asked.federation_id)
        if answer.terms.name != asked.name:
            raise VerificationError("the terms are of another federation than the invitation")
        self._workshop.clearance.require(self._workshop.find_base(answer.terms.base.digest))
        federation = self._new(asked.federation_id, Role.MEMBER, answer.terms, content)
        federation = federation.at(asked.peer_id, asked.addresses)
        wish = JoinRequest(
            federation_id=asked.federation_id, account=self._keys.account, terms_digest=answer.terms.digest()
        )
        await self._network.request(asked.peer_id, JOIN_METHOD, write_message(wish), addresses=asked.addresses)
        return self._describe(*self._submit(federation))

    def run(self, federation: str) -> Job[Order]:
        """Start the rounds of a full federation that this node created. Raises: NotFoundError, UsageError."""
        found = self._rows.find_federation(federation)
        if found.role is not Role.COORDINATOR:
            raise UsageError("another node runs this federation", "see `viz-node federation status`")
        if found.missing > 0:
            raise UsageError(
                f"{found.missing} of {counted(found.terms.members, 'member')} not joined yet",
                "send them the invitation; see `viz-node federation status`",
            )
        job = self._job_of(found)
        if job is not None and job.state in {JobState.QUEUED, JobState.RUNNING, JobState.DONE}:
            return job
        return self._submit(found)[1]

    def status(self, federation: str) -> FederationStatus:
        """One federation. Raises: NotFoundError."""
        found = self._rows.find_federation(federation)
        return self._describe(found, self._job_of(found))

    def list_all(self) -> list[FederationStatus]:
        """All federations, the oldest first."""
        return [self._describe(item, self._job_of(item)) for item in self._rows.list_federations()]

    async def on_terms(self, peer_id: PeerId, payload: bytes) -> bytes:
        """A peer asks for the terms of a federation of this node."""
        federation = self._coordinated(parse_message(payload, TermsQuestion).federation_id)
        job = self._job_of(federation)
        has_ended = job is not None and job.state is JobState.DONE
        return write_message(TermsAnswer(terms=federation.terms, ended=has_ended))

    async def on_join(self, peer_id: PeerId, payload: bytes) -> bytes:
        """A peer, known by its connection, agrees to the terms; repeating it changes nothing."""
        wish = parse_message(payload, JoinRequest)
        federation = self._coordinated(wish.federation_id)
        try:
            account = parse_account(wish.account)
        except UsageError as error:
            raise VerificationError(error.message) from error
        if wish.terms_digest != federation.terms.digest():
            raise RefusedError("these are not the terms of the federation", "ask for a new invitation")
        admitted = federation.admit(peer_id, account)
        if admitted is not federation:
            self._rows.save_federation(admitted)
        return write_message(JoinAnswer(joined=len(admitted.joined)))

    def _new(self, federation_id: str, role: Role, terms: FederationTerms, content: list[str]) -> Federation:
        return Federation(
            federation_id=federation_id,
            name=terms.name,
            role=role,
            terms=terms,
            works=tuple(work.work_id for work in self._works.select(content)),
            joined={self._keys.peer_id: self._keys.account},
        )

    def _coordinated(self, federation_id: str) -> Federation:
        for item in self._rows.list_federations():
            if item.federation_id == federation_id and item.role is Role.COORDINATOR:
                return item
        raise NotFoundError("no such federation here")

    def _submit(self, federation: Federation) -> tuple[Federation, Job[Order]]:
        # Saved before, too: a job that outlives a crash here must find its federation.
        self._rows.save_federation(federation)
        job = self._jobs.submit(FederateOrder(federation.name, federation.federation_id))
        federation = federation.under(job.job_id)
        self._rows.save_federation(federation)
        return federation, job

    def _job_of(self, federation: Federation) -> Job[Order] | None:
        return self._jobs.find(federation.job) if federation.job else None

    def _invite(self, federation: Federation) -> str:
        addresses = tuple(self._network.announced)
        return Invitation(
            federation_id=federation.federation_id,
            peer_id=self._keys.peer_id,
            addresses=addresses,
            name=federation.name,
        ).write()

    def _describe(self, federation: Federation, job: Job[Order] | None) -> FederationStatus:
        return federation.describe(str(job.state) if job is not None else None, self._invite(federation))


async def request_terms(
    network: Requests, peer_id: PeerId, addresses: tuple[str, ...], federation_id: str
) -> TermsAnswer:
    """The coordinator's terms, and whether the rounds have ended. Raises: VerificationError, UnreachableError."""
    question = write_message(TermsQuestion(federation_id=federation_id))
    return parse_terms_answer(await network.request(peer_id, TERMS_METHOD, question, addresses=addresses))
