"""Files that a person names on the command line: whatever is wrong with one is said in one line of our own words."""

import json
import os
import re
import time
from pathlib import Path

import pytest

from viz_node.cli.main import run
from viz_node.daemon.secrets import unlock
from viz_node.storage.home import open_home, private_directory

COMMANDS = {
    "recipe": ["train", "x", "--content", "all", "--recipe"],
    "terms": ["publish", "x", "--price", "1", "--terms"],
    "notice": ["notice", "file", "ab" * 32],
    "report": ["audit", "verify"],
}


@pytest.mark.parametrize("kind", ["device", "pipe"])
@pytest.mark.parametrize("command", COMMANDS)
def test_file__device_or_pipe__usage_error_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str, kind: str
) -> None:
    path = Path("/dev/zero")
    if kind == "pipe":
        path = tmp_path / "pipe"
        os.mkfifo(path)
    begun = time.monotonic()
    assert run(["--home", str(tmp_path), *COMMANDS[command], str(path)]) == 2
    assert time.monotonic() - begun < 5
    printed = capsys.readouterr()
    assert printed.err.startswith(f"error: {path} is no regular file\nnext: ")
    assert printed.out == ""


@pytest.mark.parametrize("command", ["terms", "notice"])
def test_file__empty__is_refused_before_anything_goes_on_record(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    path = tmp_path / "empty.toml"
    path.write_text("\n")
    assert run(["--home", str(tmp_path), *COMMANDS[command], str(path), "--yes"]) == 2
    assert str(path) in capsys.readouterr().err


def make_keys(home: Path) -> None:
    """A home with keys whose passphrase the machine drew."""
    with open_home(home):
        private_directory(home, "keys")
        unlock(home)


AUDIT = ["audit", "--rpc-url", "http://127.0.0.1:1", "--deployment"]
MARKET = {"chain_id": 1, "market": "0x" + "1" * 40, "token": "0x" + "2" * 40, "block": 0, "code_digest": "0" * 64}
DEPLOYMENT = json.dumps(MARKET | {"version": 2})
READERS = {
    "recipe": ["train", "x", "--content", "all", "--recipe"],
    "terms": ["publish", "x", "--price", "1", "--terms"],
    "notice": ["notice", "file", "ab" * 32],
    "report": ["audit", "verify"],
    "deployment": AUDIT,
    "market": ["market", "check", "--rpc-url", "http://127.0.0.1:1"],
    "receipts": [*AUDIT, "good.json", "--receipts"],
    "pool data": [*AUDIT, "good.json", "--pool-data"],
    "checkpoint": [*AUDIT, "good.json", "--since"],
    "key": [*AUDIT, "good.json", "--report", "new.json", "--key"],
    "backup": ["keys", "restore", "--passphrase-file", "good.txt"],
    "wallet": ["keys", "import-account", "--passphrase-file", "good.txt"],
    "passphrase": ["keys", "backup", "new.json", "--passphrase-file"],
}
WRONG: dict[str, bytes | None] = {
    "missing": None,
    "folder": None,
    "empty": b"",
    "binary": b"\xff\xfe\x00\x80" * 9,
    "text": b"Once upon a time\nthere was no JSON.\n",
    "list": b"[]",
    "object": b"{}",
    "other types": b'{"format": 7, "version": 3, "crypto": [], "keys": "x", "chain_id": "1"}',
    "deep": b"[" * 40 + b"]" * 40,
    "deployment": DEPLOYMENT.encode(),
    "backup": b'{"format": "viz-node/backup/1", "keys": {}, "sha256": ""}',
    "checkpoint": b'{"signature": "", "statement": {"format": "viz-node/checkpoint/1"}}\n\xff\x00',
}
FINE = {("recipe", "empty"), ("deployment", "deployment"), ("market", "deployment")}
FINE |= {("notice", kind) for kind in WRONG if kind not in ("missing", "folder", "empty")}
FINE |= {("passphrase", kind) for kind in ("text", "list", "object", "other types", "deep", "deployment", "backup")}
PROGRAMMERS = re.compile(
    r"codec|__init__|' object|NoneType|Expecting|Expected `|msgspec|Traceback|unforeseen|\(char|list indices|dict"
    r"|fromhex|positional|keyword|KeyError|: '\w+'$|unpack|attribute|literal|Object ",
    re.MULTILINE,
)


@pytest.mark.parametrize("kind", WRONG)
@pytest.mark.parametrize("command", READERS)
def test_file__of_a_wrong_kind__own_words_with_cause_and_next_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str, kind: str
) -> None:
    if (command, kind) in FINE:
        pytest.skip("this is a file that the command takes")
    monkeypatch.chdir(tmp_path)
    Path("good.json").write_text(DEPLOYMENT)
    Path("good.txt").write_text("a passphrase of many words\n")
    path, content = tmp_path / "wrong.json", WRONG[kind]
    if kind == "folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
        path.chmod(0o600)
    status = run(["--home", str(tmp_path / "home"), *READERS[command], str(path)])
    shown = capsys.readouterr().err
    assert status in (2, 4, 7, 11), shown
    error, *_ = shown.splitlines()
    assert error.startswith("error: ")
    assert "\nnext: " in shown
    assert str(path) in shown
    assert not PROGRAMMERS.search(shown.replace(str(path), "")), shown


@pytest.mark.parametrize(
    ("command", "content", "told"),
    [
        ("report", WRONG["checkpoint"], "is not a report of an audit: it is a checkpoint of an audit"),
        ("wallet", WRONG["backup"], "is not a wallet file that this node opens: it is a backup of keys"),
        ("pool data", DEPLOYMENT.encode(), "the pool's data is malformed"),
    ],
)
def test_file__of_another_kind_of_ours__is_called_by_its_name(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
    content: bytes,
    told: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("good.json").write_text(DEPLOYMENT)
    Path("good.txt").write_text("a passphrase of many words\n")
    Path("wrong.json").write_bytes(content)
    assert run(["--home", str(tmp_path / "home"), *READERS[command], "wrong.json"]) in (2, 4)
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([*AUDIT, "d.json", "--block", "abc"], "'abc' is not a block; name finalized, safe, latest or a number"),
        ([*AUDIT, "d.json", "--block", "-1"], "'-1' is not a block"),
        ([*AUDIT, "d.json", "--since", "c", "--signer", "abc"], "'abc' is not an account"),
        ([*AUDIT, "d.json", "--signer", "0x" + "1" * 40], "--signer trusts the checkpoint of --since FILE"),
        (["audit", "--rpc-url", "ftp://x", "--deployment", "d.json"], "begins with http:// or https://"),
        (["market", "check", "d.json", "--rpc-url", "ftp://x"], "begins with http:// or https://"),
        (["market", "deploy", "--token", "0x" + "1" * 40, "--rpc-url", "x"], "begins with http:// or https://"),
    ],
)
def test_option__wrong_value__usage_error_before_anything_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], told: str
) -> None:
    assert run(["--home", str(tmp_path), *words]) == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["keys", "backup", "there", "--passphrase-file", "good.txt"],
        ["keys", "export-account", "there", "--passphrase-file", "good.txt"],
        ["market", "deploy", "--rpc-url", "http://127.0.0.1:1", "--token", "0x" + "1" * 40, "--out", "there"],
        ["doctor", "--report", "there"],
        [*AUDIT, "good.json", "--report", "there"],
    ],
)
def test_file__that_would_be_written_is_there__refused_with_one_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("good.json").write_text(DEPLOYMENT)
    Path("good.txt").write_text("a passphrase of many words\n")
    Path("there").write_text("mine")
    make_keys(tmp_path / "home")
    status = run(["--home", str(tmp_path / "home"), *words])
    assert "there exists already\nnext: " in capsys.readouterr().err
    assert (status, Path("there").read_text()) == (2 if words[0] == "audit" else 4, "mine")
