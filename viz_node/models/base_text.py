"""A seeded grammar that writes English-like paragraphs: the CC0 training text of the built-in base model."""

# ruff: noqa: SIM905 (word lists are for people)

import random
from collections.abc import Iterator

_PEOPLE = (
    "Ada Ben Clara David Elena Felix Greta Henry Iris Jonas Karin Leo Maria Noah Olga Peter Rosa Simon Tara Victor "
    "Anna Bruno Diana Emil Frida Hugo Julia Lukas Nina Oscar"
).split()
_ROLES = (
    "writer editor teacher farmer sailor doctor baker painter gardener engineer reader printer judge merchant child "
    "mother father brother sister neighbor king queen soldier student poet traveler scientist lawyer builder singer"
).split()
_THINGS = (
    "book letter house garden river mountain window door table chair lamp boat road bridge market school library story "
    "song picture map clock key box coat stone tree flower apple bread field forest village city tower wall ship train "
    "paper pen page chapter contract office machine engine wheel tool rope candle mirror bottle basket bell coin ring "
    "report question answer lesson idea plan promise secret problem method result test model number word sentence law"
).split()
_PLACES = (
    "the town|the old harbor|the valley|the north|a small village|the capital|the island|the coast|the university|the "
    "hills|a quiet street|the eastern gate|the museum|the station|the kitchen|the workshop|the forest|the river bank"
).split("|")
_QUALITIES = (
    "old new small large quiet bright dark heavy light simple strange gentle strong weak early late warm cold deep "
    "long short broken honest careful happy sad famous empty full green red white black blue golden wooden important "
    "difficult common rare public private modern ancient useful beautiful patient curious proud tired young"
).split()
_ACTIONS = (
    "carried opened found lost sold bought painted built repaired watched described remembered followed finished "
    "started moved studied measured collected returned changed protected explained copied counted answered visited "
    "loved needed wanted kept left made saw took wrote read held brought chose understood examined published printed"
).split()
_MOTIONS = "walked sailed traveled ran returned went came moved hurried wandered climbed rode".split()
_THOUGHTS = "thought believed knew hoped feared said wrote explained noticed understood remembered decided".split()
_MANNERS = (
    "slowly quickly quietly carefully often never always sometimes finally suddenly together alone again later soon "
    "gladly rarely usually almost perhaps"
).split()
_TIMES = (
    "In the morning|In the evening|At night|Last summer|That winter|Many years ago|On Monday|After the war|Before noon|"
    "One day|In those days|At the end of the year|During the storm|In the first chapter|For three weeks|Every spring"
).split("|")
_LINKS = "However,|Therefore,|For example,|In addition,|Because of this,|At the same time,|As a result,|In fact,".split(
    "|"
)
_PURPOSES = (
    "to find the truth|to learn more|to save time|to help the others|to tell the story|to earn a living|to make peace|"
    "to see the world|to keep a promise|to solve the problem|to begin again|to protect the work"
).split("|")


class _Paragraph:
    """Sentences about one person, one thing and one place, so that there is something to predict."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.name, self.role, self.place = rng.choice(_PEOPLE), rng.choice(_ROLES), rng.choice(_PLACES)
        self.thing, self.quality = rng.choice(_THINGS), rng.choice(_QUALITIES)
        self.pronoun, self.possessive = rng.choice((("he", "his"), ("she", "her")))

    def noun(self) -> str:
        rng = self.rng
        if rng.random() < 0.35:
            return f"the {self.thing}"
        article = rng.choice(("the", "the", "a", "every", "this", "that", self.possessive))
        quality = rng.choice(_QUALITIES) + " " if rng.random() < 0.5 else ""
        text = f"{article} {quality}{rng.choice(_THINGS)}"
        return "an" + text[1:] if text.startswith("a ") and text[2] in "aeiou" else text

    def clause(self) -> str:
        rng = self.rng
        who = rng.choice((self.pronoun, self.pronoun, self.name, f"the {self.role}", f"the {rng.choice(_ROLES)}"))
        kind = rng.randrange(5)
        if kind == 0:
            return f"{who} {rng.choice(_MOTIONS)} to {self.place} {rng.choice(_PURPOSES)}"
        if kind == 1:
            return f"{self.noun()} was {rng.choice(_QUALITIES)} and {rng.choice(_QUALITIES)}"
        if kind == 2:
            return f"{who} {rng.choice(_MANNERS)} {rng.choice(_ACTIONS)} {self.noun()}"
        if kind == 3:
            return f"there was {self.noun()} in {self.place}"
        return (
            f"{who} {rng.choice(_ACTIONS)} {self.noun()} {rng.choice(('with', 'without', 'near', 'for'))} {self.noun()}"
        )

    def sentence(self) -> str:
        rng = self.rng
        kind = rng.randrange(8)
        if kind == 0:
            text = f"{rng.choice(_TIMES)}, {self.clause()}"
        elif kind == 1:
            text = f"{self.clause()}, because {self.clause()}"
        elif kind == 2:
            text = f"when {self.clause()}, {self.clause()}"
        elif kind == 3:
            text = f"{rng.choice(_LINKS)} {self.clause()}"
        elif kind == 4:
            text = f"{self.pronoun} {rng.choice(_THOUGHTS)} that {self.clause()}"
        elif kind == 5:
            return f'"{_capital(self.clause())}," said {self.name}.'
        elif kind == 6:
            text = f"{self.clause()}, and {self.clause()}"
        else:
            text = self.clause()
        return _capital(text) + "."

    def text(self) -> str:
        rng = self.rng
        opening = rng.choice(
            (
                f"{self.name} was a {self.quality} {self.role} who lived in {self.place}.",
                f"This is the story of {self.name}, the {self.role}, and of the {self.quality} {self.thing}.",
                f"The {self.thing} is {self.quality}. It was made by {self.name}, who worked as a {self.role}.",
                f"What is the {self.thing}? It is something {self.quality} that every {self.role} needs.",
            )
        )
        return " ".join([opening, *(self.sentence() for _ in range(rng.randint(4, 10)))])


def write_paragraphs(seed: int) -> Iterator[str]:
    """Endless paragraphs; the same seed gives the same ones everywhere."""
    rng = random.Random(seed)
    while True:
        yield _Paragraph(rng).text()


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
