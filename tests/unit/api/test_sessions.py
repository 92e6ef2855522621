"""Tokens, one-time codes and sessions, on a clock of the test's own."""

import pytest

from viz_node.api.guard import Sessions

TOKEN = "a-token-that-is-long-enough"


class _Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def test_redeem__same_code_twice__works_once() -> None:
    sessions = Sessions(TOKEN)
    code = sessions.login_code()
    cookie = sessions.redeem(code)
    assert cookie is not None
    assert sessions.is_open(cookie)
    assert sessions.redeem(code) is None


def test_redeem__after_ten_minutes__refuses() -> None:
    clock = _Clock()
    sessions = Sessions(TOKEN, clock)
    code = sessions.login_code()
    clock.seconds += 601
    assert sessions.redeem(code) is None


def test_is_open__after_twelve_hours__is_closed() -> None:
    clock = _Clock()
    sessions = Sessions(TOKEN, clock)
    cookie = sessions.redeem(sessions.login_code())
    assert cookie is not None
    clock.seconds += 12 * 3600 + 1
    assert not sessions.is_open(cookie)


def test_is_open__never_issued__is_closed() -> None:
    sessions = Sessions(TOKEN)
    assert not sessions.is_open("")
    assert not sessions.is_open(sessions.login_code())


def test_login_code__asked_often__stays_until_used_or_half_old() -> None:
    clock = _Clock()
    sessions = Sessions(TOKEN, clock)
    first = sessions.login_code()
    assert sessions.login_code() == first
    clock.seconds += 301
    second = sessions.login_code()
    assert second != first
    assert sessions.redeem(first) is not None
    assert sessions.redeem(second) is not None
    assert sessions.login_code() not in (first, second)


def test_redeem__more_sessions_than_held__closes_the_oldest() -> None:
    sessions = Sessions(TOKEN)
    cookies = [sessions.redeem(sessions.login_code()) or "" for _ in range(65)]
    assert not sessions.is_open(cookies[0])
    assert all(sessions.is_open(cookie) for cookie in cookies[1:])


@pytest.mark.parametrize(
    "given", ["", TOKEN, "Bearer", "Bearer ", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer \udcff"]
)
def test_is_token__anything_but_the_token__refuses(given: str) -> None:
    assert not Sessions(TOKEN).is_token(given)


def test_is_token__the_token__accepts() -> None:
    assert Sessions(TOKEN).is_token(f"Bearer {TOKEN}")


def test_sessions__short_token__refuses() -> None:
    with pytest.raises(ValueError, match="too short"):
        Sessions("short")
