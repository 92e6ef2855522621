"""Provenance for base models of tests: what was written for them, listed so that their verdict is `documented`."""

from viz_node.domain.sources import FORMAT

KNOWN_BASE = {"base_verdict": "documented"}
"""What the training of an adapter that was made without one says of its base model."""


def listed_sources(name: str = "small") -> dict[str, object]:
    """A provenance with one source whose rights are stated."""
    source = {"title": "Sentences of this test", "authors": ["Anonymous"], "license": "CC0-1.0", "sha256": "0" * 64}
    return {"format": FORMAT, "name": name, "license": "CC0-1.0", "sources": [{**source, "path": "a.txt"}]}
