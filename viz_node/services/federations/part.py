"""The federations' part: adapters that several owners train together."""

from viz_node.domain.orders import FederateOrder
from viz_node.domain.worker import as_body
from viz_node.services.federations.join_federation import JOIN_METHOD, TERMS_METHOD, Federations
from viz_node.services.federations.run_federation import Rounds
from viz_node.services.part import Answer, Kind, Lane, Part, Rows, operations_of


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
    ) -> Answer:
        """Propose a federated adapter."""
        return dict(self._federations.create(name, content, members, rounds, split, base))

    async def federation_join(self, *, invite: str, content: list[str]) -> Answer:
        """Become a member."""
        return as_body(await self._federations.join(invite, content))

    async def federation_run(self, *, federation: str) -> Answer:
        """Run the rounds."""
        return {"job_id": self._federations.run(federation).job_id}

    async def federation_status(self, *, federation: str | None = None) -> Answer | Rows:
        """One federation, or all."""
        if federation is None:
            return [as_body(item) for item in self._federations.list_all()]
        return as_body(self._federations.status(federation))
