"""Federations as a coordinator keeps them."""

from msgspec import UNSET, UnsetType

from viz_node.domain.federation import AgreedBase, AgreedRecipe, Federation, FederationTerms, Role
from viz_node.domain.ids import Account, BasisPoints, PeerId, WorkId


def new_federation(federation_id: str, shares: dict[Account, BasisPoints] | UnsetType = UNSET) -> Federation:
    base = AgreedBase(name="small", digest="ab" * 32)
    terms = FederationTerms("duo", base, 3, 2, "equal", AgreedRecipe(seed=1), "11")
    joined = {PeerId("12D3one"): Account("0x" + "11" * 20)}
    return Federation(federation_id, "duo", Role.COORDINATOR, terms, (WorkId("aa" * 32),), joined, shares=shares)
