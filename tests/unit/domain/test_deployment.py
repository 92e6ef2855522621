"""The deployment file: what is written can be read, and nothing else."""

import json

import pytest

from viz_node.domain.deployment import Deployment, parse_deployment
from viz_node.domain.ids import Account
from viz_node.errors import VerificationError

GOOD = Deployment(31337, Account("0x" + "ab" * 20), Account("0x" + "cd" * 20), 7, "00" * 32)


def test_parse_deployment__own_bytes__round_trip() -> None:
    assert parse_deployment(GOOD.to_bytes()) == GOOD


def test_parse_deployment__checksum_spelling__becomes_lower_case() -> None:
    body = json.loads(GOOD.to_bytes())
    assert parse_deployment(json.dumps({**body, "market": "0x" + "AB" * 20}).encode()) == GOOD


@pytest.mark.parametrize(
    "change",
    [
        {"chain_id": "1"},
        {"chain_id": True},
        {"block": -1},
        {"market": "0x12"},
        {"token": None},
        {"code_digest": "xyz"},
        {"code_digest": 5},
        {"version": "2"},
        {"more": 1},
    ],
)
def test_parse_deployment__wrong_field__raises(change: dict[str, object]) -> None:
    with pytest.raises(VerificationError, match="malformed"):
        parse_deployment(json.dumps({**json.loads(GOOD.to_bytes()), **change}).encode())


@pytest.mark.parametrize("version", [None, 1, 3])
def test_parse_deployment__market_of_another_version__says_so(version: int | None) -> None:
    body = {key: value for key, value in json.loads(GOOD.to_bytes()).items() if key != "version"}
    if version is not None:
        body["version"] = version
    with pytest.raises(VerificationError, match=f"is of version {version or 1}, and this program speaks version 2"):
        parse_deployment(json.dumps(body).encode())


@pytest.mark.parametrize("raw", [b"", b"[]", b"{}", b"null", b"\xff", b"[" * 4000, b" " * 5000])
def test_parse_deployment__no_deployment__raises(raw: bytes) -> None:
    with pytest.raises(VerificationError):
        parse_deployment(raw)
