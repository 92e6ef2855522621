"""The language of texts, by the model of py3langid itself."""

import pytest

from viz_node.content.language import language_of

TEXTS = {
    "en": "The old sailor repaired the boat, and nobody in the town counted the lamps before the storm came.",
    "de": "Der alte Seemann reparierte das Boot, und niemand in der Stadt zählte die Lampen vor dem Sturm.",
    "fr": "Le vieux marin réparait le bateau, et personne dans la ville ne comptait les lampes avant la tempête.",
    "es": "El viejo marinero reparaba el barco y nadie en la ciudad contaba las lámparas antes de la tormenta.",
    "ru": "Старый моряк чинил лодку, и никто в городе не считал фонари перед бурей, которая пришла ночью.",
    "ja": "年老いた船乗りは船を直し、町の誰も嵐の前に灯りを数えなかった。港は春まで静かだった。手紙は来なかった。",
}


@pytest.mark.parametrize("tag", TEXTS)
def test_language_of__a_sentence__is_its_language(tag: str) -> None:
    assert language_of(TEXTS[tag]) == tag


@pytest.mark.parametrize("text", ["", "Hello.", "1 2 3 4 5 6 7 8 9 " * 50, "\x00\ud800 " * 20])
def test_language_of__too_little_to_tell__is_undetermined(text: str) -> None:
    assert language_of(text) == "und"


def test_language_of__long_text_with_another_preface__is_that_of_most() -> None:
    assert language_of(TEXTS["fr"] * 5 + TEXTS["de"] * 2000) == "de"
