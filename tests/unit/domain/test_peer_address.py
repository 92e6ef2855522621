"""Which addresses a node listens on and tells others."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from viz_node.domain.peer_address import (
    parse_all_announced,
    parse_announced,
    parse_listen,
    reachable_addresses,
)
from viz_node.errors import UsageError

PUBLIC, LAN, SIX, WIRE = "203.0.113.7", "192.168.7.2", "2001:db8::7", "fe80::1"


@pytest.mark.parametrize(
    "text", ["/ip4/0.0.0.0/tcp/4001", "/ip4/127.0.0.1/tcp/0", "/ip6/::/tcp/65535", "/ip6/::1/tcp/1"]
)
def test_parse_listen__address_of_a_machine__is_read_and_written_alike(text: str) -> None:
    assert str(parse_listen(text)) == text


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("", "is not a listen address"),
        ("nonsense", "is not a listen address"),
        ("/ip4/0.0.0.0", "is not a listen address"),
        ("/ip4/0.0.0.0/tcp/04001", "is not a listen address"),
        ("/ip4/0.0.0.0/tcp/-1", "is not a listen address"),
        ("/ip4/0.0.0.0/tcp/4001/", "is not a listen address"),
        ("/ip4/0.0.0.0/tcp/4001\n", "is not a listen address"),
        ("/ip4/0.0.0.0/tcp/65536", "ports end at 65535"),
        ("/ip4/0.0.0/tcp/4001", "0.0.0 is not an IPv4 address"),
        ("/ip4/256.0.0.1/tcp/4001", "256.0.0.1 is not an IPv4 address"),
        ("/ip4/::/tcp/4001", ":: is not an IPv4 address"),
        ("/ip6/0.0.0.0/tcp/4001", "0.0.0.0 is not an IPv6 address"),
        ("/ip6/fe80::1%eth0/tcp/4001", "is not an IPv6 address"),
        ("/ip6/::ffff:192.0.2.7/tcp/4001", "is an IPv4 address"),
        ("/ip4/224.0.0.1/tcp/4001", "no machine has 224.0.0.1"),
        ("/dns4/localhost/tcp/4001", "not on a name"),
        ("/ip4/0.0.0.0/udp/4001/quic-v1", "TCP only"),
        ("/ip4/0.0.0.0/tcp/4001/ws", "TCP only"),
        ("/ip4/0.0.0.0/tcp/4001/tls/ws", "TCP only"),
        ("/unix/%2Ftmp%2Fx", "TCP only"),
        ("/ip4/0.0.0.0/tcp/4001/p2p/12D3KooW", "adds /p2p/"),
    ],
)
def test_parse_listen__anything_else__is_refused_with_cause_and_next_step(text: str, cause: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse_listen(text)
    assert cause in raised.value.message
    assert "write" in raised.value.hint


@pytest.mark.parametrize("is_public", [True, False])
@pytest.mark.parametrize(
    "text", [f"/ip4/{PUBLIC}/tcp/4001", f"/ip4/{LAN}/tcp/1", f"/ip6/{SIX}/tcp/4001", "/dns4/node.example.org/tcp/4001"]
)
def test_parse_announced__where_others_reach_it__is_taken(text: str, is_public: bool) -> None:
    assert str(parse_announced(text, is_public)) == text


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("/ip4/0.0.0.0/tcp/4001", "no machine's address"),
        ("/ip6/::/tcp/4001", "no machine's address"),
        ("/ip4/255.255.255.255/tcp/4001", "no machine's address"),
        ("/ip6/ff02::1/tcp/4001", "no machine's address"),
        ("/ip4/169.254.3.4/tcp/4001", "one wire"),
        (f"/ip6/{WIRE}/tcp/4001", "one wire"),
        (f"/ip4/{PUBLIC}/tcp/0", "needs the port"),
        ("/dns4/a..b/tcp/4001", "is not a name"),
        ("/dns4/-a.org/tcp/4001", "is not a name"),
        ("/dns4/192.0.2.7/tcp/4001", "is not a name"),
        (f"/ip4/{PUBLIC}/udp/4001/quic-v1", "TCP only"),
    ],
)
def test_parse_announced__of_no_use_to_anybody__is_refused_everywhere(text: str, cause: str) -> None:
    for is_public in (True, False):
        with pytest.raises(UsageError) as raised:
            parse_announced(text, is_public)
        assert cause in raised.value.message
        assert "/ip4/203.0.113.7/tcp/4001" in raised.value.hint


@pytest.mark.parametrize(
    "host", ["/ip4/127.0.0.1", "/ip4/127.9.9.9", "/ip6/::1", "/dns4/localhost", "/dns/a.localhost"]
)
def test_parse_announced__this_machine_itself__only_in_development(host: str) -> None:
    assert str(parse_announced(f"{host}/tcp/4001", is_public=False)) == f"{host}/tcp/4001"
    with pytest.raises(UsageError, match="each machine's own"):
        parse_announced(f"{host}/tcp/4001", is_public=True)


def test_parse_all_announced__more_than_an_announcement_holds__is_refused() -> None:
    texts = [f"/ip4/{PUBLIC}/tcp/{port}" for port in range(1, 10)]
    assert len(parse_all_announced(texts[:8], is_public=True)) == 8
    with pytest.raises(UsageError, match="9 addresses"):
        parse_all_announced(texts, is_public=True)


@pytest.mark.parametrize(
    ("listen", "is_public", "expected"),
    [
        ("/ip4/0.0.0.0/tcp/4001", True, [f"/ip4/{PUBLIC}/tcp/4001", f"/ip4/{LAN}/tcp/4001"]),
        (
            "/ip4/0.0.0.0/tcp/4001",
            False,
            [f"/ip4/{PUBLIC}/tcp/4001", f"/ip4/{LAN}/tcp/4001", "/ip4/127.0.0.1/tcp/4001"],
        ),
        ("/ip6/::/tcp/4001", True, [f"/ip4/{PUBLIC}/tcp/4001", f"/ip4/{LAN}/tcp/4001", f"/ip6/{SIX}/tcp/4001"]),
        ("/ip4/127.0.0.1/tcp/4001", True, []),
        ("/ip4/127.0.0.1/tcp/4001", False, ["/ip4/127.0.0.1/tcp/4001"]),
        (f"/ip4/{LAN}/tcp/4001", True, [f"/ip4/{LAN}/tcp/4001"]),
        (f"/ip6/{WIRE}/tcp/4001", True, []),
    ],
)
def test_reachable_addresses__of_a_machine__are_those_that_others_can_use(
    listen: str, is_public: bool, expected: list[str]
) -> None:
    found = reachable_addresses([parse_listen(listen)], [LAN, PUBLIC, WIRE, f"{WIRE}%eth0", SIX, "junk"], is_public)
    assert sorted(map(str, found)) == sorted(expected)
    assert [str(item) for item in found][-1:] != ["/ip4/127.0.0.1/tcp/4001"] or not is_public


@given(st.text(max_size=80))
def test_parse__any_text__is_an_address_or_a_usage_error(text: str) -> None:
    for parse in (parse_listen, lambda text: parse_announced(text, is_public=True)):
        for candidate in (text, f"/ip4/{text}/tcp/1", f"/dns4/{text}/tcp/1", f"/ip6/{text}/tcp/{text}"):
            try:
                assert str(parse(str(parse(candidate)))) == str(parse(candidate))
            except UsageError:
                continue
