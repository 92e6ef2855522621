"""The federations' part: adapters that several owners train together."""

from viz_node.domain.federation import FederationStatus
from viz_node.domain.job import Queued
from viz_node.domain.orders import FederateOrder
from viz_node.services.federations.join_federation import JOIN_METHOD, TERMS_METHOD, Federations, ProposedFederation
from viz_node.services.federations.run_federation import Rounds
from viz_node.services.part import Kind, Lane, Part, operations_of


def federations_part(federations: Federations, rounds: Rounds) -> Part:
    """What was agreed, and the rounds as a job."""
    return Part(
        operations_of(FederationOperations(federations)),
        answers={TERMS_METHOD: federations.on_terms, JOIN_METHOD: federations.on_join},
        kinds=(Kind(FederateOrder, Lane.FEDERATION, rounds.federate),),
    )


class FederationOperations:
    """What an owner asks of federations."""

    def __init__(self, federations: Federations) -> None:
        self._federations = federations

    async def federation_create(
        self, *, name: str, content: list[str], members: int, rounds: int, split: str = "equal", base: str | None = None
    ) -> ProposedFederation:
        """Propose a federated adapter."""
        return self._federations.create(name, content, members, rounds, split, base)

    async def federation_join(self, *, invite: str, content: list[str]) -> FederationStatus:
        """Become a member."""
        return await self._federations.join(invite, content)

    async def federation_run(self, *, federation: str) -> Queued:
        """Run the rounds."""
        return Queued(self._federations.run(federation).job_id)

    async def federation_status(self, *, federation: str | None = None) -> FederationStatus | list[FederationStatus]:
        """One federation, or all."""
        return self._federations.list_all() if federation is None else self._federations.status(federation)
