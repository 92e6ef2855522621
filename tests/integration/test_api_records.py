"""Requests and answers that are records, through the real HTTP edge."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

import pytest

from tests.api_node import BEARER, ApiNode, hostile_operations
from viz_node.domain.answer import UNSET, UnsetType
from viz_node.domain.ids import PeerId
from viz_node.domain.job import JobState, Queued
from viz_node.domain.peer_address import Neighbour
from viz_node.errors import NotFoundError

NAMED = {**BEARER, "Content-Type": "application/json"}


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


@pytest.mark.asyncio
async def test_call__records_one_after_another__each_is_sent_as_it_comes_and_a_caller_that_goes_ends_them() -> None:
    gates, ended = [asyncio.Event(), asyncio.Event()], asyncio.Event()

    async def told(*, count: int) -> AsyncGenerator[Queued, None]:
        if count > len(gates):
            raise NotFoundError("there are not so many")

        async def records() -> AsyncGenerator[Queued, None]:
            try:
                for number in range(count):
                    await gates[number].wait()
                    yield Queued(f"j{number}\ud800")
            finally:
                ended.set()

        return records()

    async with ApiNode({"told": told}) as node:
        refused = await node.call("told", {"count": 9})
        url, asked = f"http://{node.host}/v1/call/told", {"data": '{"count": 2}', "headers": NAMED}
        answer = await node.http.post(url, **asked)
        gates[0].set()
        assert await answer.content.readline() == '{"job_id":"j0\ufffd"}\n'.encode()
        assert not ended.is_set()
        answer.close()
        gates[1].set()
        await asyncio.wait_for(ended.wait(), 5)

    assert (refused.status, (await refused.json())["error"]) == (404, "NotFoundError")
