"""The picture of a pre-training: from what a provenance holds, whatever that is."""

import json
from xml.etree import ElementTree

import pytest

from viz_node.domain.pretraining_curve import draw_pretraining
from viz_node.models.packed import SHIPPED


def test_draw_pretraining__base_of_this_package__has_both_curves() -> None:
    picture = draw_pretraining(json.loads((SHIPPED / "provenance.json").read_bytes()))
    curves = [part for part in ElementTree.fromstring(picture).iter() if part.tag.endswith("polyline")]
    assert len(curves) == 2
    assert "bits per character" in picture
    assert len(curves[0].attrib["points"].split()) <= 401


@pytest.mark.parametrize(
    "facts", [{}, {"losses": "x"}, {"losses": [7, [1], [1, "a"], {"a": 1}], "held_out_curve": None}]
)
def test_draw_pretraining__nothing_that_can_be_drawn__is_no_picture(facts: dict[str, object]) -> None:
    assert draw_pretraining(facts) == ""


def test_draw_pretraining__points_that_are_no_numbers__are_left_out() -> None:
    picture = draw_pretraining({"losses": [[1, "2.5"], [2, "nan"], [3, "1.5"], [4, "<script>"]]})
    assert "script" not in picture
    assert picture.count("polyline") == 1
