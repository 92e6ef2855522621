"""A node takes the port of last time again, so that peers that know it find it."""

import socket
from dataclasses import replace
from pathlib import Path

import pytest

from viz_node.daemon.bootstrap import keep_api_port, keep_port, write_addresses
from viz_node.daemon.config import Config, load_config
from viz_node.tcp import choose_port, is_free


def test_keep_port__port_of_last_time__is_taken_while_it_is_free(tmp_path: Path) -> None:
    config = load_config(tmp_path)
    port = port_of(keep_port(config))
    write_addresses(tmp_path, [f"/ip4/127.0.0.1/tcp/{port}/p2p/12D3Koo"])
    with socket.create_server(("127.0.0.1", port)):
        assert port_of(keep_port(config)) != port
    assert port_of(keep_port(config)) == port


def port_of(config: Config) -> int:
    host, port = config.listen.rsplit("/", 1)
    assert host == "/ip4/127.0.0.1/tcp"
    return int(port)


@pytest.mark.parametrize("text", ["", "[]", "/tcp/99999/", "/tcp/x/", "\x00"])
def test_keep_port__addresses_that_say_nothing__any_free_port(tmp_path: Path, text: str) -> None:
    (tmp_path / "addresses.json").write_text(text)
    assert is_free(port_of(keep_port(load_config(tmp_path))))


def test_choose_port__never_one_that_the_system_lends_to_outgoing_connections() -> None:
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert all(1024 < choose_port() < first for _ in range(50))


def test_keep_port__port_that_was_asked_for__stays(tmp_path: Path) -> None:
    write_addresses(tmp_path, ["/ip4/127.0.0.1/tcp/4001/p2p/12D3Koo"])
    config = replace(load_config(tmp_path), listen="/ip4/127.0.0.1/tcp/4002")
    assert keep_port(config).listen == "/ip4/127.0.0.1/tcp/4002"


def test_keep_api_port__started_again_and_again__same_port_and_one_near_by_while_it_is_taken(tmp_path: Path) -> None:
    first = keep_api_port(load_config(tmp_path)).api_port
    assert keep_api_port(load_config(tmp_path)).api_port == first
    with socket.create_server(("127.0.0.1", first)):
        moved = keep_api_port(load_config(tmp_path))
        assert first < moved.api_port < first + 20
        assert f"port {first} of last time is taken" in moved.origins["api_port"]
    assert keep_api_port(load_config(tmp_path)).api_port == first
    assert keep_api_port(load_config(tmp_path, api_port=8080)).api_port == 8080


@pytest.mark.parametrize("text", ["", "x", "99999", "80", "-1", "\x00\xff"])
def test_keep_api_port__file_that_says_nothing__chooses_anew(tmp_path: Path, text: str) -> None:
    (tmp_path / "dashboard.port").write_text(text)
    port = keep_api_port(load_config(tmp_path)).api_port
    assert is_free(port)
    assert (tmp_path / "dashboard.port").read_text() == str(port)
