"""Options that do not fit are named with their file; the keystore's passphrase; what a child process may see."""

import os
import time
from pathlib import Path

import pytest

from viz_node.daemon.config import describe_config, example_files, hub_environment, load_config, worker_environment
from viz_node.daemon.secrets import unlock
from viz_node.errors import PassphraseError, UsageError, VizNodeError


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ('api_port = "8080"', "api_port is '8080', not a port from 0 to 65535"),
        ('device = "cuda"', """device is 'cuda', not "auto", "cpu", or the number of a GPU"""),
        ('device = "cuda:-1"', "device is 'cuda:-1', not"),
        ("coin_price = 4000", 'coin_price is 4000, not an amount in quotes, as "4000"'),
        ('coin_price = "-1"', "coin_price is '-1', not an amount in quotes"),
        ("signer_timeout_seconds = 0", "signer_timeout_seconds is 0, not seconds from 1 to 600"),
        ("api_port = true", "api_port is True"),
        ("api_port = 65536", "api_port is 65536"),
        ('bootstrap = "/ip4/1.2.3.4/tcp/1"', "bootstrap is '/ip4/1.2.3.4/tcp/1', not a list"),
        ("bootstrap = [1]", r"bootstrap is \[1\]"),
        ('log_level = "LOUD"', "log_level is 'LOUD', not one of DEBUG"),
        ("deployment = 1", "deployment is 1, not text in quotes"),
        ('rpc_urls = "http://x"', "rpc_urls is 'http://x', not a list of addresses in quotes"),
        ('show_at = "soon"', "show_at is 'soon', not one of latest, safe, finalized, or a number of blocks"),
        ("book_at = -1", "book_at is -1, not one of latest, safe, finalized, or a number of blocks"),
        ("book_at = true", "book_at is True, not one of latest, safe, finalized, or a number of blocks"),
        ("listen = /ip4", "line 1"),
        ('listen = "/dns4/localhost/tcp/0"', "listen: .*not on a name"),
        ('listen = "/ip4/0.0.0.0/udp/4001/quic-v1"', "listen: .*TCP only"),
        ('announce = "/ip4/203.0.113.7/tcp/4001"', "announce is '/ip4/203.0.113.7/tcp/4001', not a list"),
        ('announce = ["/ip4/0.0.0.0/tcp/4001"]', "announce: .*cannot be announced"),
        ('lissen = "x"', "unknown options: lissen"),
        ('home = "/x"', "unknown options: home"),
    ],
)
def test_load_config__option_does_not_fit__names_file_and_option(tmp_path: Path, line: str, cause: str) -> None:
    (tmp_path / "config.toml").write_text(line)
    with pytest.raises(UsageError, match=cause) as caught:
        load_config(tmp_path)
    assert str(tmp_path / "config.toml") in caught.value.message
    assert caught.value.hint


def test_load_config__file_is_no_text_or_no_file__named(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match=r"config\.toml"):
        load_config(tmp_path)
    (tmp_path / "config.toml").unlink()
    (tmp_path / "config.toml").mkdir()
    with pytest.raises(UsageError, match=r"cannot read .*config\.toml"):
        load_config(tmp_path)


def test_load_config__environment__is_stronger_and_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.toml").write_text('log_level = "ERROR"')
    monkeypatch.setenv("VIZ_NODE_LOG_LEVEL", "DEBUG")
    assert load_config(tmp_path).log_level == "DEBUG"
    monkeypatch.setenv("VIZ_NODE_LOG_LEVEL", "LOUD")
    with pytest.raises(UsageError, match="VIZ_NODE_LOG_LEVEL"):
        load_config(tmp_path)
    monkeypatch.delenv("VIZ_NODE_LOG_LEVEL")
    monkeypatch.setenv("VIZ_NODE_ANNOUNCE", "/ip4/203.0.113.7/tcp/4001,/dns4/a.example/tcp/1")
    assert load_config(tmp_path).announce == ("/ip4/203.0.113.7/tcp/4001", "/dns4/a.example/tcp/1")
    monkeypatch.setenv("VIZ_NODE_ANNOUNCE", "/ip4/203.0.113.7/tcp/4001,x")
    with pytest.raises(UsageError, match="VIZ_NODE_ANNOUNCE: announce: 'x'"):
        load_config(tmp_path)


@pytest.mark.parametrize(
    "content", [None, b"", b"\n", b"\xff", b"x" * 5000], ids=["absent", "0", "line", "bytes", "long"]
)
def test_unlock__passphrase_file_is_useless__usage_error_and_no_keystore(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    (tmp_path / "keys").mkdir()
    path = tmp_path / "passphrase"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv("VIZ_NODE_PASSPHRASE_FILE", str(path))
    with pytest.raises(UsageError, match="passphrase"):
        unlock(tmp_path)
    assert list((tmp_path / "keys").iterdir()) == []


def test_unlock__first_run__draws_a_passphrase_that_opens_it_again(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    drawn = tmp_path / "keys" / "passphrase"
    drawn.write_text("left by a first run that was killed")
    keys = unlock(tmp_path)
    assert unlock(tmp_path) == keys
    assert drawn.stat().st_mode & 0o777 == 0o600
    drawn.write_text("another")
    with pytest.raises(PassphraseError):
        unlock(tmp_path)
    drawn.unlink()
    with pytest.raises(VizNodeError, match="cannot read"):
        unlock(tmp_path)


def test_worker_environment__any__offline_and_without_the_hubs_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    quiet = worker_environment(2, tmp_path)
    assert (quiet["HF_HUB_OFFLINE"], quiet["TRANSFORMERS_OFFLINE"]) == ("1", "1")
    assert "secret" not in quiet.values()


def test_worker_environment__cuda_set_up_by_its_owner__reaches_the_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {"CUDA_VISIBLE_DEVICES": "1", "LD_LIBRARY_PATH": "/opt/cuda/lib64", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert given.items() <= worker_environment(2, tmp_path).items()


def test_hub_environment__any__the_token_for_downloads_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    assert (hub_environment()["HF_TOKEN"], hub_environment()["HF_HUB_OFFLINE"]) == ("secret", "0")


def test_describe_config__four_origins__each_value_names_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIZ_NODE_RPC_URLS", "https://user:pw@chain.example:8545/v3/KEY?k=KEY,http://127.0.0.1:8545/")
    monkeypatch.setenv("HF_TOKEN", "hidden")
    (tmp_path / "config.toml").write_text('\n# a comment\nlog_level = "ERROR"\nbook_at = 5\n')
    rows = describe_config(load_config(tmp_path, api_port=8080, listen=None))
    shown = {row.option: (row.value, row.origin) for row in rows}
    assert shown["log_level"] == ("ERROR", f"{tmp_path}/config.toml:3")
    assert shown["book_at"] == (5, f"{tmp_path}/config.toml:4")
    assert shown["rpc_urls"] == (
        ["https://chain.example:8545/…", "http://127.0.0.1:8545"],
        "environment: VIZ_NODE_RPC_URLS",
    )
    assert shown["api_port"] == (8080, "command line")
    assert shown["listen"] == ("/ip4/127.0.0.1/tcp/0", "default")
    assert shown["HF_TOKEN"] == ("set", "environment")
    assert not [word for word in ("KEY", "pw", "hidden") if word in str(rows)]


@pytest.mark.parametrize("kind", ["deep", "dotted", "giant", "device", "pipe", "digits"])
def test_load_config__file_that_is_an_attack__refused_quickly_in_one_line(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "config.toml"
    texts = {
        "deep": "listen = " + "\n[" * 20_000,
        "dotted": "a." * 30_000 + "b = 1",
        "giant": "x" * 100_000_000,
        "digits": "api_port = " + "9" * 4090,
    }
    if kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.write_text(texts[kind])
    begun = time.monotonic()
    with pytest.raises(UsageError, match=r"config\.toml") as caught:
        load_config(tmp_path)
    assert time.monotonic() - begun < 1
    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 500
    assert caught.value.hint


def test_example_files__checkout__are_all_there_and_right() -> None:
    assert {"node", "small", "careful", "commercial", "derivatives", "noncommercial"} <= set(example_files())
