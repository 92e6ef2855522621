"""The catalogue of base models whose training data somebody vouches for, each with what is said of it and by whom.

Statements are our summary of the sources that they name, looked up in November 2026. A revision is written down only
where it was found in public; nobody guessed one.
"""

from viz_node.domain.base_card import CatalogueBase, Statement
from viz_node.domain.training import SHIPPED_BASE

_CARD = "model card on the hub"
_PUBLIC_CODE = "pinned so by public code that uses the model"
_PILE_PAPER = "arXiv 2506.05209, The Common Pile v0.1"
_CORPUS_CARD = "data set card of PleIAs/common_corpus, and arXiv 2506.01732"
_APERTUS_PAPER = "arXiv 2509.14233, Apertus technical report"
_MINI_PAPER = "arXiv 2605.29128, and the model card on the hub"
_TALKIE = "the publisher's report on talkie, April 2026"

_OURS = CatalogueBase(
    name=SHIPPED_BASE,
    publisher="viz-node",
    repository="",
    commit="",
    commit_source="",
    license="CC0-1.0",
    parameters=5_999_872,
    embedded=1_572_864,
    download_bytes=0,
    context_tokens=1024,
    languages="English",
    verdict="documented",
    reason="Each of its 57 books is listed with its SHA-256 and why it may be used; anyone can train it again.",
    statements=(
        Statement("training data", "57 books, 38.8 million characters, nothing else", "its provenance.json"),
        Statement("jurisdiction", "public domain in the US and where protection is life + 70 years", "its list of sources"),
        Statement("opt-outs", "none apply: the rights in all of the books have ended", "its list of sources"),
        Statement("synthetic text", "none", "its list of sources"),
    ),
)  # fmt: skip

_COMMA = CatalogueBase(
    name="comma-v0.1-2t",
    publisher="Common Pile (University of Toronto, EleutherAI, Hugging Face and others)",
    repository="common-pile/comma-v0.1-2t",
    commit="3fba8938462ae9303c6e88770fc2d098370f0eaa",
    commit_source="a public assessment that cites the hub's answer for this revision",
    license="Apache-2.0",
    parameters=7_002_656_768,
    embedded=262_144_000,
    download_bytes=14_100_000_000,
    context_tokens=4096,
    languages="English",
    verdict="documented",
    reason="Thirty sources, each discussed, with its license per document and the code that collected it; no certificate was found.",
    statements=(
        Statement("training data", "2 trillion tokens of the Common Pile: 8 TB from 30 sources", _PILE_PAPER),
        Statement("license of the data", "open under the Open Definition 2.1; none with NC or ND terms", _PILE_PAPER),
        Statement("limits", "mislabelled licenses cannot be ruled out: its authors give no guarantee", _CARD),
        Statement("opt-outs", "not needed where the license is open; no protocol is named", _PILE_PAPER),
        Statement("synthetic text", "text written by models is left out", _PILE_PAPER),
        Statement("jurisdiction", "not limited to one; much of it is US government text and books out of copyright there", _PILE_PAPER),
    ),
)  # fmt: skip

_KL3M = CatalogueBase(
    name="kl3m-170m",
    publisher="ALEA Institute (made by 273 Ventures)",
    repository="alea-institute/kl3m-002-170m",
    commit="575e0aeb10c6955857d5812a2560332a3af715f8",
    commit_source="the address of a mirror's page of this revision",
    license="CC-BY-4.0",
    parameters=170_000_000,
    embedded=33_554_432,
    download_bytes=680_000_000,
    context_tokens=4096,
    languages="English, mostly of law and government",
    verdict="certified",
    reason="Fairly Trained L certificate; the certifier examines the records of all training data, and reviews them yearly.",
    statements=(
        Statement("certificate", "the first language model with the Fairly Trained L certificate; look up whether it is still listed", "fairlytrained.org/certifications"),
        Statement("training data", "a US part of the Kelvin Legal DataPack, which its makers hold to be in the public domain", _CARD),
        Statement("records", "the newer data set has a record and a legal basis per document; this model's own data is given on request", "alea-institute/kl3m-data"),
        Statement("jurisdiction", "United States: law and government works (17 U.S.C. § 105)", "alea-institute/kl3m-data"),
        Statement("opt-outs", "none are named; works of the US government have no owner who could", _CARD),
        Statement("duty", "CC-BY-4.0 asks for attribution, also from adapters that quote it", "the license"),
    ),
)  # fmt: skip


def _pleias(name: str, repository: str, commit: str, parameters: int, embedded: int) -> CatalogueBase:
    return CatalogueBase(
        name=name,
        publisher="Pleias",
        repository=repository,
        commit=commit,
        commit_source=_PUBLIC_CODE if commit else "",
        license="Apache-2.0",
        parameters=parameters,
        embedded=embedded,
        download_bytes=2 * parameters,
        context_tokens=2048,
        languages="English, French, Spanish, German, Italian, Dutch, Latin, Portuguese",
        verdict="documented",
        reason="Its corpus is published with license and origin per document; another project finds two of its sources unsafe.",
        statements=(
            Statement("training data", "Common Corpus, about 2 trillion tokens; license and origin stand beside each document", _CORPUS_CARD),
            Statement("license of the data", "out of copyright, or under a permissive license", _CARD),
            Statement("dispute", "it uses OpenAlex and YouTube Commons, which the Common Pile left out because licenses there may be mislabelled", _PILE_PAPER),
            Statement("jurisdiction", "made in France to follow the EU's AI Act, as its publisher says", _CARD),
            Statement("opt-outs", "no protocol is named; the data is said to need none", _CARD),
            Statement("use", "its publisher does not recommend LoRA for models of this size", _CARD),
        ),
    )  # fmt: skip


_APERTUS_TERMS = (
    "its publisher asks you to accept terms on its page on the hub (you answer for claims of others, and should filter "
    "personal data); then set HF_TOKEN where the node starts"
)


def _apertus(name: str, repository: str, commit: str, sizes: tuple[int, int], is_mini: bool) -> CatalogueBase:
    parameters, embedded = sizes
    mini = (
        Statement(
            "lineage", "distilled from Apertus 8B on 1.7 trillion tokens of its last stage; no new data", _MINI_PAPER
        ),
    )
    return CatalogueBase(
        name=name,
        publisher="Swiss AI Initiative (EPFL, ETH Zurich, CSCS)",
        repository=repository,
        commit=commit,
        commit_source=_PUBLIC_CODE if commit else "",
        license="Apache-2.0",
        parameters=parameters,
        embedded=embedded,
        download_bytes=2 * parameters,
        context_tokens=4096 if is_mini else 65_536,
        languages="more than 1,000",
        verdict="claimed",
        reason="Its data is published in full, and much of it is web text: opt-outs were respected, licenses were not asked for.",
        statements=(
            Statement("training data", "public web text, code and mathematics, published with the code that prepared it", _APERTUS_PAPER),
            *(mini if is_mini else ()),
            Statement("opt-outs", "robots.txt of sites that opted out was applied to older crawls, too", _APERTUS_PAPER),
            Statement("limits", "an opt-out that was respected is not a license: owners who did not opt out may still claim", _APERTUS_PAPER),
            Statement("memorisation", "trained with a loss that leaves tokens out (goldfish), against learning texts by heart", _APERTUS_PAPER),
            Statement("jurisdiction", "Swiss data protection and copyright law, and the EU's AI Act, as its publishers say", _APERTUS_PAPER),
            Statement("duty", "terms of use beside the license; a list of erased personal data to filter outputs with", _CARD),
        ),
        access=_APERTUS_TERMS,
    )  # fmt: skip


_TALKIE_BASE = CatalogueBase(
    name="talkie-1930-13b",
    publisher="talkie-lm (Nick Levine, David Duvenaud, Alec Radford)",
    repository="talkie-lm/talkie-1930-13b-base",
    commit="b7c97680791f7fca4262c3c80b36ff7d666faab0",
    commit_source=_PUBLIC_CODE,
    license="Apache-2.0",
    parameters=13_280_000_000,
    embedded=335_544_320,
    download_bytes=53_100_000_000,
    context_tokens=2048,
    languages="English",
    verdict="claimed",
    reason="Its makers say that all of its text was published before 1931; the corpus itself is not published yet.",
    statements=(
        Statement("training data", "260 billion tokens of English books, newspapers, journals, patents and cases from before 1931", _TALKIE),
        Statement("jurisdiction", "United States only: out of copyright there after 95 years; elsewhere authors may still be protected", _TALKIE),
        Statement("limits", "newer text that slipped in cannot be ruled out", _TALKIE),
        Statement("variant", "the chat version learned from the output of today's models: it is not in this catalogue", _TALKIE),
        Statement("opt-outs", "none apply in the US; none are named", _TALKIE),
    ),
    unusable=(
        "it is published as a PyTorch checkpoint of an architecture that transformers does not know; viz-node opens "
        "neither pickles nor foreign code"
    ),
)  # fmt: skip

CATALOGUE: tuple[CatalogueBase, ...] = (
    _OURS,
    _KL3M,
    _pleias("pleias-350m", "PleIAs/Pleias-350m-Preview", "f175e52d0411f2c5273b5de549ddc98ce7f3f5d6", 353_000_000, 67_108_864),
    _pleias("pleias-1.2b", "PleIAs/Pleias-1.2b-Preview", "", 1_210_000_000, 134_217_728),
    _pleias("pleias-3b", "PleIAs/Pleias-3b-Preview", "", 3_000_000_000, 201_326_592),
    _apertus("apertus-0.5b", "swiss-ai/Apertus-v1.1-0.5B", "1b7276176e564fc0cc7d7c3b991a8d653c8b8792", (430_000_000, 134_217_728), True),
    _apertus("apertus-1.5b", "swiss-ai/Apertus-v1.1-1.5B", "dbe8919b2f0389888bada6b3a19e81e0ef4286c1", (1_500_000_000, 268_435_456), True),
    _apertus("apertus-4b", "swiss-ai/Apertus-v1.1-4B", "", (4_600_000_000, 402_653_184), True),
    _apertus("apertus-8b", "swiss-ai/Apertus-8B-2509", "3162c99675aa588097cecd4a24b9aa1f712af477", (8_050_000_000, 536_870_912), False),
    _apertus("apertus-70b", "swiss-ai/Apertus-70B-2509", "", (70_600_000_000, 1_073_741_824), False),
    _COMMA,
    _TALKIE_BASE,
)  # fmt: skip
"""From the smallest to the largest of each family; ours first."""


def find_entry(name: str) -> CatalogueBase | None:
    """The entry of this name, in either case."""
    return next((entry for entry in CATALOGUE if entry.name == name.lower()), None)


def entry_of(repository: str) -> CatalogueBase | None:
    """The entry of this repository on the hub."""
    return next((entry for entry in CATALOGUE if entry.repository and entry.repository == repository), None)
