import pytest

from viz_node.economics.tables import Band, Table, band, figure, gini


def test_gini__equal_and_concentrated__zero_and_nearly_one() -> None:
    assert gini([5, 5, 5]) == pytest.approx(0)
    assert gini([0, 0, 0, 8]) == pytest.approx(0.75)
    assert gini([0, 0]) == 0


def test_band__values__mean_and_percentiles() -> None:
    measured = band(list(range(101)))

    assert (measured.mean, measured.low, measured.high) == pytest.approx((50, 2.5, 97.5))
    assert str(measured) == "50 (2.5..97.5)"
    assert str(Band(3.0001, 3, 3)) == "3"


@pytest.mark.parametrize(
    ("value", "text"), [(-0.001, "0"), (0.0712, "0.0712"), (-30.02, "-30"), (486.4, "486"), (17_949, "17 900")]
)
def test_figure__three_digits__as_people_read_them(value: float, text: str) -> None:
    assert figure(value) == text


def test_table__bands_and_texts__in_every_form() -> None:
    table = Table("t", "Title", ("rule", "profit"), (("a", Band(1, 0.5, 2)), ("b", 4)))

    assert table.to_markdown() == "| rule | profit |\n| --- | ---: |\n| a | 1 (0.5..2) |\n| b | 4 |\n"
    assert table.to_dict()["rows"][0] == {"rule": "a", "profit": {"mean": 1, "low": 0.5, "high": 2}}
