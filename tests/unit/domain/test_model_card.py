"""The card of an exported adapter: front matter that hubs parse, and nothing of a stranger's that acts."""

from dataclasses import replace

import pytest
import yaml

from viz_node.domain.ids import Account
from viz_node.domain.model_card import CardFacts, CardLicense, write_card

ME = Account("0x" + "11" * 20)
FACTS = CardFacts(
    name="poems",
    origin="trained",
    created=1_700_000_000,
    base_name=f"hf:owner/model@{'c' * 40}",
    base_license="Apache-2.0",
    training={"rank": 8, "learning_rate": "0.002", "job": "j1"},
    evaluation={"perplexity_before": "9.00", "perplexity_after": "4.00", "tokens": 525},
    manifest=None,
    held=None,
    chain_id=31337,
    market="0x" + "22" * 20,
)
EVIL = "a\n---\nlicense: mit\n<script>alert(1)</script> [x](http://evil) `rm` | \x1b[2J \u202e #"


def front_matter(card: str) -> dict[str, object]:
    _, head, _ = card.split("---\n", 2)
    body = yaml.safe_load(head)
    assert isinstance(body, dict)
    return body


def test_card__base_of_a_hub__named_as_hubs_name_it() -> None:
    card = write_card(FACTS)
    assert front_matter(card)["base_model"] == "owner/model"
    assert f"revision {'c' * 40}" in card
    assert 'AutoPeftModelForCausalLM.from_pretrained(".")' in card
    assert "| 9.00 | 4.00 |" in card
    assert "on 525 tokens" in card
    assert "Apache-2.0" in card
    assert "j1" not in card
    assert "has stated no terms" in card


def test_card__local_base_and_no_evaluation__says_so() -> None:
    card = write_card(replace(FACTS, base_name="my base", evaluation={"tokens": 0}, base_license=""))
    assert front_matter(card)["base_model"] == "my base"
    assert "PeftModel.from_pretrained(AutoModelForCausalLM" in card
    assert "It was not evaluated." in card


@pytest.mark.parametrize("field", ["name", "base_name", "base_license"])
def test_card__texts_of_a_stranger__neither_front_matter_nor_markup(field: str) -> None:
    card = write_card(replace(FACTS, **{field: EVIL}, training={EVIL: EVIL}, evaluation={}))
    assert front_matter(card)["license"] == "other"
    assert card.count("\n---\n") == 1
    body = card.split("---\n", 2)[2]
    assert "\x1b" not in card
    assert "\u202e" not in card
    for live in ("<script", "](http", " | \ufffd"):
        assert live not in body.replace("\\" + live[0], "")


def test_card__fetched__names_licensee_and_receipt() -> None:
    from viz_node.domain.ids import WHOLE, AdapterId, BasisPoints, PeerId
    from viz_node.domain.manifest import AdapterManifest, BaseModelRef, LicenseTerms
    from viz_node.domain.permissions import Permissions
    from viz_node.domain.royalty import split_from_shares

    manifest = AdapterManifest(
        "poems", ME, PeerId("p"), BaseModelRef("b", "aa" * 32), (), "bb" * 32, (),
        LicenseTerms("perpetual", 0, Permissions()),
        split_from_shares({ME: BasisPoints(WHOLE)}), (), {}, {}, 1,
    )  # fmt: skip
    held = CardLicense(ME, 3, 7, None, "5.00")
    card = write_card(replace(FACTS, origin="fetched", manifest=manifest, held=held))
    assert f"- licensee: {ME}, without an end, paid 5.00 tokens" in card
    assert "- receipt: offer 3, order 7" in card
    assert f"- adapter: {AdapterId(manifest.adapter_id())}" in card
    assert "commercial use: " in card
    later = write_card(replace(FACTS, manifest=manifest, held=replace(held, expires="2027-01-01", order=None)))
    assert "until 2027-01-01" in later
    assert "## Sold as" in write_card(replace(FACTS, manifest=manifest))
