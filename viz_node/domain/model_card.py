"""The README of an exported adapter, in the form of model hubs: front matter in YAML, then Markdown; writes no file.

Names, facts and terms may be a stranger's: they become plain text in it.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from viz_node.domain.hub import parse_hub_model
from viz_node.domain.ids import Account, format_moment
from viz_node.domain.manifest import AdapterManifest
from viz_node.domain.plain_text import one_line
from viz_node.errors import UsageError

_MARKS = re.compile(r"([\\`*_{}\[\]<>()#+!|~&])")
_MOST_CHARACTERS = 2000


@dataclass(frozen=True)
class CardLicense:
    """The license that an account holds: by which offer and order, until when, and what was paid."""

    holder: Account
    offer: int
    order: int | None
    expires: str | None
    paid: str


@dataclass(frozen=True)
class CardFacts:
    """An adapter of this node; `license` is that of the base model, `manifest` None if it was never published.

    `chain_id` and `market` are where it is sold.
    """

    name: str
    origin: str
    created: int
    base_name: str
    base_license: str
    training: Mapping[str, str | int]
    evaluation: Mapping[str, str | int]
    manifest: AdapterManifest | None
    held: CardLicense | None
    chain_id: int
    market: str


def write_card(facts: CardFacts) -> str:
    """The whole README."""
    parts = [_front_matter(facts), f"# {_plain(facts.name)}\n", _use(facts), _evaluation(facts), _training(facts)]
    parts += [_terms(facts.manifest), _license(facts)]
    return "\n".join(part for part in parts if part)


def _front_matter(facts: CardFacts) -> str:
    repository, _ = _place(facts.base_name)
    values: dict[str, str | list[str]] = {
        "base_model": repository,
        "base_model_relation": "adapter",
        "library_name": "peft",
        "pipeline_tag": "text-generation",
        "tags": ["lora", "viz-node", facts.origin],
        "license": "other",
        "license_name": "terms-of-the-adapter",
    }
    # JSON is YAML, too, and quotes whatever a name holds.
    lines = [f"{name}: {json.dumps(_shown(value), ensure_ascii=True)}" for name, value in values.items()]
    return "\n".join(["---", *lines, "---", ""])


def _use(facts: CardFacts) -> str:
    repository, revision = _place(facts.base_name)
    at = f", revision {_plain(revision)}" if revision else ""
    told = f"A LoRA adapter for the base model {_plain(repository)}{at}"
    license_ = f" (license of the base model: {_plain(facts.base_license)})" if facts.base_license else ""
    load = (
        'AutoPeftModelForCausalLM.from_pretrained(".")'
        if revision
        else 'PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained("folder of the base model"), ".")'
    )
    return (
        f"{told}{license_}.\n\n```python\n{load}\n```\n\n"
        "It was trained and evaluated on the base model in 4 bits (NF4). In full precision or another quantization the "
        "likeliest token may differ where two are nearly as likely, and texts differ from there on.\n"
    )


def _evaluation(facts: CardFacts) -> str:
    before, after = facts.evaluation.get("perplexity_before"), facts.evaluation.get("perplexity_after")
    if before is None or after is None:
        return "## Evaluation\n\nIt was not evaluated.\n"
    tokens = facts.evaluation.get("tokens", 0)
    return (
        f"## Evaluation\n\nPerplexity on {_plain(tokens)} tokens of text that was held out of its training:\n\n"
        f"| base model alone | with the adapter |\n| --- | --- |\n| {_plain(before)} | {_plain(after)} |\n"
    )


def _training(facts: CardFacts) -> str:
    rows = [f"| {_plain(name)} | {_plain(value)} |" for name, value in facts.training.items() if name != "job"]
    told = f"## Training\n\n{_plain(facts.origin)}, {format_moment(facts.created)}.\n"
    return told + ("\n| | |\n| --- | --- |\n" + "\n".join(rows) + "\n" if rows else "")


def _terms(manifest: AdapterManifest | None) -> str:
    if manifest is None:
        return "## Terms\n\nIt was not published: its owner has stated no terms.\n"
    rows = [f"- {name}: {_plain(text)}" for name, text in manifest.license.permissions.sentences().items() if text]
    return "\n".join([f"## Terms\n\nThe seller's license is {manifest.license.kind}.\n", *rows, ""])


def _license(facts: CardFacts) -> str:
    if facts.manifest is None:
        return ""
    rows = [
        f"- adapter: {facts.manifest.adapter_id()}",
        f"- seller: {facts.manifest.account}",
        f"- market: {_plain(facts.market)} on chain {facts.chain_id}",
    ]
    if facts.held is not None:
        until = f"until {_plain(facts.held.expires)}" if facts.held.expires else "without an end"
        rows.append(f"- licensee: {facts.held.holder}, {until}, paid {_plain(facts.held.paid)} tokens")
        order = f", order {facts.held.order}" if facts.held.order is not None else ""
        rows.append(f"- receipt: offer {facts.held.offer}{order}")
    head = "## License" if facts.held is not None else "## Sold as"
    return "\n".join([head, "", *rows, "", "The chain proves this to anyone, without the node.", ""])


def _place(base_name: str) -> tuple[str, str]:
    """Repository and revision of a model of a hub; of another its name, and nothing."""
    try:
        model = parse_hub_model(base_name)
    except UsageError:
        return base_name, ""
    return model.repository, model.commit


def _shown(value: str | list[str]) -> str | list[str]:
    return one_line(value, _MOST_CHARACTERS) if isinstance(value, str) else [one_line(item) for item in value]


def _plain(value: object) -> str:
    """Text in which nothing is Markdown or HTML."""
    return _MARKS.sub(r"\\\1", one_line(str(value), _MOST_CHARACTERS))
