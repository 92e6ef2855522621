"""What the demo saw, and the checks that all must hold; knows no process, no screen and no chain."""

from collections.abc import Mapping
from dataclasses import dataclass

from viz_node.domain.counting import counted
from viz_node.domain.ids import Account, BasisPoints, TokenAmount
from viz_node.domain.royalty import RoyaltySplit, split_from_shares, with_platform


@dataclass(frozen=True)
class Facts:
    """Gathered on the way; amounts in the token's smallest units, `earned`, `claimed` and `due` as audited."""

    adapter: str
    perplexity_before: float
    perplexity_after: float
    rounds: int
    rounds_by_holder: Mapping[str, int]
    price: TokenAmount
    agreed_shares: Mapping[Account, BasisPoints]
    offered_shares: Mapping[Account, BasisPoints]
    paid: TokenAmount
    promised_digests: Mapping[str, str]
    fetched_digests: Mapping[str, str]
    text: str
    sales: tuple[TokenAmount, ...]
    earned: Mapping[Account, TokenAmount]
    claimed: Mapping[Account, TokenAmount]
    due: Mapping[Account, TokenAmount]
    audit_findings: tuple[str, ...]
    audit_proven: bool


@dataclass(frozen=True)
class Check:
    """One thing that must hold, and what was seen."""

    name: str
    ok: bool
    seen: str


def check_facts(facts: Facts) -> list[Check]:
    """Every check; the story is verified only if all are ok."""
    trained = facts.rounds_by_holder
    return [
        Check(
            "training lowered the perplexity on held-out text",
            0 < facts.perplexity_after < facts.perplexity_before,
            f"{facts.perplexity_before:.2f} before, {facts.perplexity_after:.2f} after",
        ),
        Check(
            "both owners trained in every round",
            facts.rounds > 0 and len(trained) == 2 and set(trained.values()) == {facts.rounds},
            ", ".join(f"{name} {count} of {facts.rounds}" for name, count in trained.items()),
        ),
        Check(
            "the offer's split is the one that both agreed to, beside the platform's fee",
            len(facts.agreed_shares) == 2 and dict(facts.offered_shares) == dict(_expected_split(facts).shares),
            " / ".join(f"{share / 100:g}" for share in facts.offered_shares.values()),
        ),
        Check(
            "the license was paid once, at the price",
            facts.sales == (facts.price,) and facts.paid == facts.price,
            f"{facts.paid} units for {len(facts.sales)} sale",
        ),
        Check(
            "the fetched files are byte for byte the published ones",
            bool(facts.promised_digests) and dict(facts.fetched_digests) == dict(facts.promised_digests),
            f"{counted(len(facts.fetched_digests), 'file')}",
        ),
        Check("the adapter writes", bool(facts.text.strip()), f"{len(facts.text)} characters"),
        *_money_checks(facts),
        Check(
            "the auditor found nothing wrong",
            facts.audit_proven and not facts.audit_findings,
            "; ".join(facts.audit_findings) or ("proven" if facts.audit_proven else "not proven"),
        ),
    ]


def _money_checks(facts: Facts) -> list[Check]:
    earned = dict(facts.earned)
    holders = {account: earned.get(account, 0) for account in facts.agreed_shares}
    return [
        Check(
            "each owner earned its share to the unit, and the shares are the whole price",
            earned == _expected_split(facts).allocate(facts.price) and sum(earned.values()) == facts.price,
            " + ".join(map(str, earned.values())) + f" of {facts.price}",
        ),
        Check(
            "each owner claimed all of it",
            {account: facts.claimed.get(account) for account in holders} == holders
            and not any(facts.due.get(account) for account in holders),
            f"{sum(facts.claimed.values())} claimed, {sum(facts.due.get(account, 0) for account in holders)} due",
        ),
    ]


def _expected_split(facts: Facts) -> RoyaltySplit:
    """What was agreed, scaled down beside the one account that may have come to it: the platform's."""
    agreed = split_from_shares(facts.agreed_shares)
    others = [account for account in facts.offered_shares if account not in facts.agreed_shares]
    return with_platform(agreed, others[0], facts.offered_shares[others[0]]) if len(others) == 1 else agreed
