"""The documents against the code: a page that says something else than the program is a defect."""

import ast
import importlib.util
import re
import shlex
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import pytest

from viz_node.api.guard import MAX_BODY_BYTES
from viz_node.api.routes import BODY_SECONDS
from viz_node.chain.contract.ledger import EntryKind
from viz_node.cli.main import viz_node
from viz_node.domain import federation
from viz_node.domain.announcement import MAX_ANNOUNCEMENT_BYTES, MAX_LIFETIME_SECONDS, Announcement
from viz_node.domain.division import MAX_DIVISION_BYTES, Division
from viz_node.domain.manifest import MAX_MANIFEST_BYTES, AdapterManifest
from viz_node.domain.pool import MAX_ADAPTERS_USED, MAX_RULES_BYTES, PoolMember, PoolRules, UseStatement
from viz_node.identity.sealing import FRAME_BYTES
from viz_node.p2p import wire
from viz_node.p2p.blobs import CHUNK_BYTES
from viz_node.services.market.deliver_key import KeyRequest

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])
CODE = {path: path.read_text() for path in (ROOT / "viz_node").rglob("*.py")}
LOCAL_FORMATS = {
    "viz-node/keystore/1",
    "viz-node/backup/1",
    "viz-node/base/1",
    "viz-node/sources/1",
    "viz-node/base-sources/1",
}
"""Files that no other node reads."""
PROTOCOL = (ROOT / "docs" / "protocol.md").read_text()


def _generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "reference" / "generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["commands", "options", "base_model", "base_catalogue"])
def test_reference__generated_pages__are_fresh(name: str) -> None:
    page = (ROOT / "docs" / "reference" / f"{name.replace('_', '-')}.md").read_text()
    assert page == getattr(_generator(), f"{name}_page")(), "run `make docs`"


def test_reference__picture_of_the_base__is_fresh() -> None:
    picture = (ROOT / "docs" / "reference" / "base-model.svg").read_text()
    assert picture == _generator().base_model_picture(), "run `make docs`"


def _shown_commands() -> Iterator[tuple[Path, list[str]]]:
    for page in PAGES:
        if page.name == "commands.md":
            continue
        text = page.read_text()
        lines = [line for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]
        lines += re.findall(r"`(viz-node [^`]+)`", text)
        for line in lines:
            command = line.partition("#")[0].strip().removeprefix(".venv/bin/")
            if command.startswith("viz-node "):
                yield page, [word for word in shlex.split(command)[1:] if word != "…"]


def _resolve(words: list[str]) -> list[str]:
    """What of a command line does not exist."""
    if words[:1] == ["--home"]:
        words = words[2:]
    command: click.Command | None = viz_node
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        if words[0].isupper():
            return []
        command = command.get_command(click.Context(command), words.pop(0))
    if command is None:
        return ["no such command"]
    known = {name for item in command.params for name in (*item.opts, *item.secondary_opts)} | {"--help", "--version"}
    return [word for word in words if word.startswith("--") and word.partition("=")[0] not in known]


def test_shown_commands__every_one__exists_with_its_options() -> None:
    shown = list(_shown_commands())
    assert len(shown) > 30
    wrong = [f"{page.name}: {' '.join(words)}: {lacks}" for page, words in shown if (lacks := _resolve(list(words)))]
    assert wrong == []


def test_links__to_files__lead_somewhere() -> None:
    wrong = []
    for page in PAGES:
        text = page.read_text()
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)|(?:src|srcset)=\"([^\"]+)\"", text):
            link = next(filter(None, target))
            if "://" not in link and not (page.parent / link).exists():
                wrong.append(f"{page.name}: {link}")
        if page.name != "CHANGELOG.md":
            named = re.findall(r"`((?:viz_node|tests|configs|contracts|docs|docker|benchmarks)/[\w./-]+)`", text)
            wrong += [f"{page.name}: {path}" for path in named if not (ROOT / path).exists()]
    assert wrong == []


def test_protocol__code_column__names_files_of_the_package() -> None:
    named = set(re.findall(r"`([a-z0-9]+/[a-z_]+\.py)`", PROTOCOL))
    assert len(named) > 10
    assert [name for name in named if not (ROOT / "viz_node" / name).exists()] == []


def test_protocol__names_on_the_wire__are_those_of_the_code() -> None:
    pattern = re.compile(r"/viz/[a-z]+/\d+\.\d+\.\d+|viz/announce/\d+|viz-node/[a-z-]+/\d+")
    in_code = set(pattern.findall("\n".join(CODE.values()))) - LOCAL_FORMATS
    assert len(in_code) > 7
    assert set(pattern.findall(PROTOCOL)) == in_code


def test_protocol__request_methods__are_those_that_are_served() -> None:
    served = {
        value for text in CODE.values() for value in re.findall(r'^[A-Z]+_METHOD = "([\w-]+)"', text, re.MULTILINE)
    }
    table = PROTOCOL.split("| method | payload | reply |")[1].split("\n\n")[0]
    assert set(re.findall(r"^\| `([\w-]+)` \|", table, re.MULTILINE)) == served


def _names(kind: Any) -> set[str]:
    return {field.name for field in fields(kind)}


def test_protocol__fields_of_documents__are_all_named() -> None:
    manifest = PROTOCOL.split("## Manifest")[1].split("## ")[0]
    rows = {
        name for row in re.findall(r"^\| (`.*?) \|", manifest, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)
    }
    assert rows == _names(AdapterManifest) | {"format"}
    announcement = PROTOCOL.split("## Announcement")[1].split("## ")[0]
    assert _names(Announcement) <= set(re.findall(r"`(\w+)`", announcement))
    key_request = PROTOCOL.split("## Key delivery")[1].split("## ")[0]
    assert set(re.findall(r'"(\w+)"', key_request)) == _names(KeyRequest) | {"signature"}
    pools = PROTOCOL.split("## Documents of pools")[1].split("\n## ")[0]
    documents = _names(PoolRules) | (_names(PoolMember) | _names(UseStatement) | _names(Division)) - {"place"}
    assert documents <= set(re.findall(r"`(\w+)`", pools))
    agreed = PROTOCOL.split("## Federation")[1].split("## ")[0]
    stated = set(re.findall(r'"(\w+)"', agreed))
    records = federation.FederationTerms, federation.AgreedBase, federation.Invitation
    assert stated == {name for record in records for name in record.__struct_fields__}


def test_protocol__numbers__are_those_of_the_code() -> None:
    text = re.sub(r"\s+", " ", PROTOCOL)
    said = [
        f"at most {MAX_MANIFEST_BYTES // 1024} KiB",
        f"at most {MAX_ANNOUNCEMENT_BYTES} bytes, signed",
        f"expires after at most {MAX_LIFETIME_SECONDS // 3600} hours",
        f"that many bytes, at most {wire.MAX_FRAME_BYTES >> 20} MiB",
        f"(1 to {wire.MAX_NAME_BYTES} bytes)",
        f"at most {wire.MAX_PAGE_ENTRIES} of at most {wire.MAX_ENTRY_BYTES} bytes",
        f"chunks of {CHUNK_BYTES >> 20} MiB",
        f'"chunk":{CHUNK_BYTES}',
        f"frames of {FRAME_BYTES >> 20} MiB of plaintext",
        f"at most {MAX_RULES_BYTES} bytes: `format`, `name`",
        f"of 1 to {MAX_ADAPTERS_USED} adapters",
        f"`viz-node/pool-division/2`, at most {MAX_DIVISION_BYTES >> 20} MiB",
        f"at most {MAX_BODY_BYTES >> 20} MiB, within {BODY_SECONDS:g} s",
    ]
    assert [phrase for phrase in said if phrase not in text] == []


def test_protocol__ledger__is_the_event_of_the_contract() -> None:
    interface = (ROOT / "contracts" / "src" / "interfaces" / "ILedger.sol").read_text()
    (event,) = re.findall(r"`(Entry\(uint8 .*\))`", PROTOCOL)
    assert event in re.sub(r"\s+", " ", interface).replace("( ", "(").replace(" )", ")")
    kinds = [int(number) for number in re.findall(r"^/// \| (\d+) [a-z -]+ \|", interface, re.MULTILINE)]
    assert kinds == [kind.value for kind in EntryKind]


def test_protocol__federation_records__name_the_keys_of_the_code() -> None:
    code = (ROOT / "viz_node" / "federation" / "messages.py").read_text()
    keys = set(re.findall(r'"((?:[a-z]+-)+[a-z]+)"', code)) | {"run-id"}
    assert len(keys) > 4
    assert [key for key in keys if f"`{key}`" not in PROTOCOL] == []


def test_protocol__table_of_entries__is_that_of_the_contract_and_has_every_kind() -> None:
    interface = (ROOT / "contracts/src/interfaces/ILedger.sol").read_text()
    told = [line.strip().removeprefix("/// ") for line in interface.splitlines() if line.strip().startswith("/// |")]
    assert "\n".join(told) in PROTOCOL
    kinds = {int(number) for number in re.findall(r"^\| (\d+) ", "\n".join(told), re.MULTILINE)}
    assert kinds == {int(kind) for kind in EntryKind}


@pytest.mark.parametrize("name", ["rederive.py", "rederive_pools.py"])
def test_rederive__whole_file__is_independent(name: str) -> None:
    tree = ast.parse((ROOT / "tests" / name).read_text())
    modules = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    modules |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    modules.discard("tests.rederive_pools")
    assert not {name for name in modules if name.split(".")[0] in ("viz_node", "tests")}
    assert "web3" in {name.split(".")[0] for name in modules}


def test_glossary__names_in_code__exist_and_terms_are_in_order() -> None:
    rows = re.findall(r"^\| ([^|]+) \| [^|]+ \| ([^|]*) \|$", (ROOT / "docs" / "glossary.md").read_text(), re.MULTILINE)
    terms = [term.strip() for term, _ in rows[2:]]
    assert len(terms) > 25
    assert terms == sorted(terms, key=str.lower)
    code = "\n".join(CODE.values())
    wanted = [name for _, cell in rows for name in re.findall(r"`(\w+)`", cell)]
    assert [name for name in wanted if not re.search(rf"\b{name}\b", code)] == []


def test_decisions__every_page__has_the_same_parts() -> None:
    pages = sorted((ROOT / "docs" / "adr").glob("*.md"))
    # A number is given once; one that was given to a decision under way may be missing.
    assert len({page.name[:4] for page in pages}) == len(pages)
    for page in pages:
        text = page.read_text()
        assert text.startswith(f"# {int(page.name[:4])}. ")
        assert [part for part in ("Decided", "Why", "Consequences", "Rejected") if f"**{part}.**" not in text] == []


def test_threat_model__names_of_tests__exist() -> None:
    text = (ROOT / "docs" / "threat-model.md").read_text()
    tests = {node.name for path in (ROOT / "tests").rglob("test_*.py") for node in ast.walk(ast.parse(path.read_text()))
             if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}  # fmt: skip
    for path in (ROOT / "contracts" / "test").glob("*.t.sol"):
        tests |= set(re.findall(r"function (test_\w+)", path.read_text()))
    named = re.findall(r"`(test_\w+)`", text)
    assert len(named) > 5
    assert [name for name in named if name not in tests] == []
