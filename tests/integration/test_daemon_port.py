"""A node takes the port of last time again, so that peers that know it find it."""

import socket
from dataclasses import replace
from pathlib import Path

import pytest

from viz_node.daemon.bootstrap import keep_port, write_addresses
from viz_node.daemon.config import load_config


def test_keep_port__port_of_last_time__is_taken_while_it_is_free(tmp_path: Path) -> None:
    config = load_config(tmp_path)
    assert keep_port(config) == config
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]
        write_addresses(tmp_path, [f"/ip4/127.0.0.1/tcp/{port}/p2p/12D3Koo"])
        other.listen()
        assert keep_port(config) == config
    assert keep_port(config).listen == f"/ip4/127.0.0.1/tcp/{port}"


@pytest.mark.parametrize("text", ["", "[]", "/tcp/99999/", "/tcp/x/", "\x00"])
def test_keep_port__addresses_that_say_nothing__change_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "addresses.json").write_text(text)
    config = load_config(tmp_path)
    assert keep_port(config) == config


def test_keep_port__port_that_was_asked_for__stays(tmp_path: Path) -> None:
    write_addresses(tmp_path, ["/ip4/127.0.0.1/tcp/4001/p2p/12D3Koo"])
    config = replace(load_config(tmp_path), listen="/ip4/127.0.0.1/tcp/4002")
    assert keep_port(config).listen == "/ip4/127.0.0.1/tcp/4002"
