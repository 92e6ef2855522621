"""Sample works, written here by a seeded grammar and dedicated to the public domain (CC0-1.0).

The first development start and the demo train on them. Two archives, so that two holders have something of their own.
"""

import random
from dataclasses import dataclass
from pathlib import Path

_YEARS = ("one", "two", "three", "four", "five")
_SENTENCES = 5


@dataclass(frozen=True)
class Archive:
    """The words of one archive; each of its places gives one work."""

    places: tuple[str, ...]
    people: tuple[str, ...]
    deeds: tuple[str, ...]
    sayings: tuple[str, ...]


HARBOUR = Archive(
    places=("the harbour of Elsin", "the tide mill", "the lamp room", "the salt road", "the bell tower", "the quay"),
    people=("The keeper of the light", "The ferrywoman", "The pilot's daughter", "The net mender", "The old surveyor"),
    deeds=(
        "counted the lamps before the fog came in",
        "wrote the height of the tide into her book",
        "mended a brown sail with tarred thread",
        "waited for the packet boat from the islands",
        "rang the storm bell three times",
        "trimmed the wicks and wound the clockwork",
    ),
    sayings=(
        "A lamp that nobody counts goes out first",
        "The tide keeps no calendar but its own",
        "Salt remembers every ship",
        "Fog is only the sea on a visit",
    ),
)
ORCHARD = Archive(
    places=("the orchard of Varn", "the cider press", "the bee garden", "the hill barn", "the seed loft", "the well"),
    people=("The beekeeper", "The grafter's son", "The miller of Varn", "The widow Amsel", "The young shepherd"),
    deeds=(
        "weighed the first russet apples of the year",
        "carried a swarm home in a straw basket",
        "grafted the grey pear onto quince",
        "swept the press until the stones shone",
        "marked the frost on the barn door",
        "sorted the seed into paper bags",
    ),
    sayings=(
        "A tree is planted for the one who comes after",
        "Bees read the weather before it is written",
        "No barrel is sweeter than its worst apple",
        "The frost signs its name on every door",
    ),
)


def write_samples(folder: Path, archive: Archive) -> list[Path]:
    """Write one text per place into `folder`; the same archive gives the same bytes everywhere."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, place in enumerate(archive.places):
        path = folder / f"{place.replace(' ', '-')}.txt"
        path.write_text(_chronicle(archive, number), encoding="utf-8")
        paths.append(path)
    return paths


def _chronicle(archive: Archive, number: int) -> str:
    rng = random.Random(number)
    place = archive.places[number]
    paragraphs = [" ".join(_sentence(archive, place, year, rng) for _ in range(_SENTENCES)) for year in _YEARS]
    return "\n\n".join([f"The chronicle of {place}.", *paragraphs]) + "\n"


def _sentence(archive: Archive, place: str, year: str, rng: random.Random) -> str:
    person, deed = rng.choice(archive.people), rng.choice(archive.deeds)
    elsewhere = rng.choice([other for other in archive.places if other != place])
    shapes = (
        f"In the year {year}, {person[0].lower()}{person[1:]} came to {place} and {deed}.",
        f"{person} {deed}, and nobody in {elsewhere} heard of it until spring.",
        f'"{rng.choice(archive.sayings)}," said {person[0].lower()}{person[1:]}, who {deed}.',
        f"Between {place} and {elsewhere} {person[0].lower()}{person[1:]} {deed}.",
    )
    return rng.choice(shapes)
