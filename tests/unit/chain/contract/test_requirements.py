"""What a market needs of a chain: the list of opcodes is that of the code, and tokens tell what they like."""

from collections.abc import Iterator
from typing import Any

import pytest

from viz_node.chain.contract.artifact import load_artifact
from viz_node.chain.contract.requirements import LONGEST_NAME, PROBES, read_token
from viz_node.chain.encoding.abi import encode
from viz_node.chain.encoding.hashing import keccak
from viz_node.chain.node.rpc import JsonRpc, RpcRefusedError, to_hex
from viz_node.domain.ids import Account
from viz_node.errors import RefusedError

TOKEN = Account("0x" + "ab" * 20)
NEWER = {0x1E: "CLZ", 0x48: "BASEFEE", 0x49: "BLOBHASH", 0x4A: "BLOBBASEFEE", 0x5C: "TLOAD", 0x5D: "TSTORE",
         0x5E: "MCOPY", 0x5F: "PUSH0"}  # fmt: skip
"""Opcodes since the London upgrade of 2021, by number."""
PUSH1, PUSH32 = 0x60, 0x7F


def opcodes(code: bytes) -> Iterator[int]:
    place = 0
    while place < len(code):
        yield code[place]
        place += code[place] - PUSH1 + 2 if PUSH1 <= code[place] <= PUSH32 else 1


class Token(JsonRpc):
    """An endpoint that knows one token, by answers to its questions; others are refused."""

    def __init__(self, code: bytes = b"\1", **answers: bytes) -> None:
        super().__init__("http://127.0.0.1:1")
        self._code = code
        self._answers = {keccak(f"{name}()".encode())[:4]: answer for name, answer in answers.items()}

    def call(self, method: str, *params: Any, shape: Any = Any) -> Any:
        if method == "eth_getCode":
            return to_hex(self._code)
        answer = self._answers.get(bytes.fromhex(params[0]["data"][2:10]))
        if answer is None:
            raise RpcRefusedError("execution reverted")
        return to_hex(answer)


@pytest.mark.parametrize("name", ["Market", "Annex"])
def test_probes__newer_opcodes_of_the_code__are_all_of_them(name: str) -> None:
    artifact = load_artifact(name)
    used = {NEWER[number] for number in opcodes(artifact.deployed) if number in NEWER}
    assert used == set(PROBES)


def test_read_token__plain_token__takes_approvals_only() -> None:
    token = read_token(Token(decimals=encode(("uint8",), (6,)), symbol=encode(("string",), ("USDX",))), TOKEN)
    assert token.describe() == "USDX, 6 decimals, takes approvals only"


@pytest.mark.parametrize(
    ("symbol", "shown"),
    [
        (encode(("string",), ("\x1b[2JUSD‮C",)), "[2JUSDC"),
        (b"MKR".ljust(32, b"\0"), "MKR"),
        (encode(("string",), ("A" * 5000,)), "A" * LONGEST_NAME),
        (b"\xff" * 32, "�" * 32),
        (b"", ""),
        (b"\1" * 77, ""),
    ],
)
def test_read_token__odd_symbol__is_cut_and_harmless(symbol: bytes, shown: str) -> None:
    assert read_token(Token(decimals=encode(("uint8",), (6,)), symbol=symbol), TOKEN).symbol == shown


@pytest.mark.parametrize(
    ("token", "said"),
    [
        (Token(code=b""), "no contract"),
        (Token(), "does not tell its decimals"),
        (Token(decimals=b"\6"), "does not tell its decimals"),
        (Token(decimals=encode(("uint8",), (18,))), "has 18 decimals"),
    ],
)
def test_read_token__unfit__is_refused_with_the_reason(token: Token, said: str) -> None:
    with pytest.raises(RefusedError, match=said):
        read_token(token, TOKEN)
