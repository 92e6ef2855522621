"""Sample works, written here by a seeded grammar and dedicated to the public domain (CC0-1.0).

The first development start and the demo train on them. Two archives, so that two holders have something of their own.
Their words are mostly those of the synthetic base model's own grammar, which spells others letter by letter.
"""

import random
from dataclasses import dataclass
from pathlib import Path

_YEARS = ("one", "two", "three", "four", "five", "six", "seven", "eight")
_SENTENCES = 5


@dataclass(frozen=True)
class Archive:
    """The words of one archive; each of its places gives one work."""

    places: tuple[str, ...]
    people: tuple[str, ...]
    deeds: tuple[str, ...]
    sayings: tuple[str, ...]


HARBOUR = Archive(
    places=("the old harbor", "the lamp tower", "the river bridge", "the ship market", "the bell house", "the wall"),
    people=("The old sailor", "The painter of boats", "The brother of the king", "The lamp builder", "The merchant"),
    deeds=(
        "counted every lamp before the storm",
        "wrote the name of the ship in a green book",
        "repaired the red boat with a long rope",
        "waited at the window for a letter",
        "opened the door of the tower at night",
        "sold the last box of paper to a stranger",
    ),
    sayings=(
        "A lamp that is never counted is soon lost",
        "The river needs no map and no clock",
        "Every ship is a promise",
        "A storm is only a question without an answer",
    ),
)
ORCHARD = Archive(
    places=("the apple garden", "the stone village", "the bread kitchen", "the forest school", "the field", "the hill"),
    people=(
        "The young farmer",
        "The gardener",
        "The mother of the baker",
        "The quiet teacher",
        "The poet of the hills",
    ),
    deeds=(
        "carried the first golden apple to the table",
        "planted a tree for the child of a neighbor",
        "measured the field with a broken wheel",
        "left fresh bread near the wooden door",
        "read a long story to the flower basket",
        "found an honest bottle under the tree",
    ),
    sayings=(
        "A tree is a letter to a child",
        "Bread knows the baker by the hand",
        "No basket is better than the worst apple",
        "Winter writes on every door",
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
