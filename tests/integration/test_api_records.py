"""Requests and answers that are records, through the real HTTP edge."""

from dataclasses import dataclass, field

import pytest

from tests.api_node import BEARER, ApiNode, hostile_operations
from viz_node.domain.answer import UNSET, UnsetType
from viz_node.domain.ids import PeerId
from viz_node.domain.job import JobState, Queued
from viz_node.domain.peer_address import Neighbour


@dataclass(frozen=True)
class NewLoan:
    """A request."""

    reader: str
    books: tuple[str, ...]
    days: int = 30


@dataclass(frozen=True)
class Loan:
    """An answer."""

    reader: str
    books: tuple[str, ...]
    wei: int
    state: JobState
    job: Queued | None = None
    note: str | UnsetType = UNSET
    late: list["Loan"] = field(default_factory=list)


async def lend(asked: NewLoan) -> list[Loan]:
    """Lend books."""
    plain = Loan(asked.reader, asked.books, 2**200, JobState.DONE)
    return [Loan(asked.reader, (), asked.days, JobState.QUEUED, Queued("j1"), "\udc80", [plain])]


@pytest.mark.asyncio
async def test_call__request_and_answer_are_records__the_same_json_as_of_keywords_and_objects() -> None:
    async with ApiNode({"lend": lend}) as node:
        answer = await (await node.call("lend", {"reader": "a", "books": ["x"]})).text()
        refused = await node.call("lend", {"reader": "a", "books": "x"})

    assert answer == (
        '[{"reader":"a","books":[],"wei":30,"state":"queued","job":{"job_id":"j1"},"note":"\ufffd","late":['
        f'{{"reader":"a","books":["x"],"wei":{2**200},"state":"done","job":null,"late":[]}}]}}]'
    )
    assert (refused.status, (await refused.json())["message"]) == (422, "the argument 'books' is not a list of text")


@pytest.mark.asyncio
async def test_fragment__operation_answers_records__the_panel_shows_them() -> None:
    async def peers() -> list[Neighbour]:
        return [Neighbour(PeerId("12D3KooWPeer"), ("/ip4/10.0.0.1/tcp/1",), True)]

    async with ApiNode(hostile_operations() | {"peers": peers}) as node:
        text = await (await node.ask("GET", "/fragments/peers", headers=BEARER)).text()

    assert "/ip4/10.0.0.1/tcp/1" in text and "connected" in text
