"""How the dashboard writes quantities, and what its chart adds up."""

import pytest

from viz_node.api.dashboard import Bar, duration, moment, number, sales_bars, short, size


@pytest.mark.parametrize(
    ("size_bytes", "text"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (5 * 2**30, "5.0 GiB"), (None, "–")]
)
def test_size__bytes__as_people_read_them(size_bytes: object, text: str) -> None:
    assert size(size_bytes) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(40, "40 s"), (213.4, "3 min"), (3900, "1 h 5 min"), (-1, "–"), (float("nan"), "–"), ("x", "–")],
)
def test_duration__seconds__as_people_read_them(seconds: object, text: str) -> None:
    assert duration(seconds) == text


def test_moment__seconds__is_utc_and_machine_readable() -> None:
    assert moment(0) == "–"
    assert moment(2**60) == "–"
    assert moment("2026-11-23T22:46:40") == moment("tomorrow") == "–"
    assert moment("2026-11-23T22:46:40+00:00") == moment(1795474000)
    assert moment(1795474000) == '<time datetime="2026-11-23T22:46:40+00:00">23 Nov 2026, 22:46 UTC</time>'


def test_short__long_id__keeps_both_ends() -> None:
    assert short("0123456789abcdef0123") == "01234567…ef0123"
    assert short("0123456789abcde") == "0123456789abcde"
    assert short(None) == ""


def test_number__thousands__are_spaced() -> None:
    assert number(1234567) == "1\u2009234\u2009567"
    assert number("n/a") == "n/a"


def test_sales_bars__sales__add_up_exactly_by_adapter() -> None:
    sales = [{"adapter": 1, "price": "0.10"}] * 3 + [{"adapter": 2, "name": "elsin", "price": "0.60"}]
    assert sales_bars(sales) == [Bar("elsin", "0.60", 1000, 1), Bar("adapter 1", "0.30", 500, 3)]


@pytest.mark.parametrize(
    "sales", [None, "x", [], [None], [{}], [{"price": "NaN"}], [{"price": "-1"}], [{"price": "one"}]]
)
def test_sales_bars__nothing_readable__draws_nothing(sales: object) -> None:
    assert sales_bars(sales) == []
