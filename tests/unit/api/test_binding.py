"""The binder takes exactly what an operation's signature says and nothing else."""

import os
from dataclasses import dataclass
from typing import Any, Literal, NewType

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from viz_node.api.binding import bind_arguments, call_of, parameters_of, parse_body
from viz_node.domain.names import FilePath
from viz_node.errors import UsageError

Slug = NewType("Slug", str)


async def _train(
    name: Slug, works: list[str], steps: int = 10, rate: float = 0.1, dry: bool = False, note: str | None = None
) -> dict[str, Any]:
    return {"name": name, "works": works, "steps": steps, "rate": rate, "dry": dry, "note": note}


def test_bind_arguments__all_given__passes_them_unchanged() -> None:
    body = {"name": "a", "works": ["w"], "steps": 3, "rate": 1, "dry": True, "note": None}
    assert bind_arguments(parameters_of(_train), body) == body


def test_bind_arguments__only_required__leaves_defaults_to_the_operation() -> None:
    body = {"name": "a", "works": []}
    assert bind_arguments(parameters_of(_train), body) == body


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        ({"works": []}, "'name' is missing"),
        ({"name": "a", "works": [], "sudo": True}, "unknown argument 'sudo'"),
        ({"name": 1, "works": []}, "'name' is not text"),
        ({"name": None, "works": []}, "'name' is not text"),
        ({"name": "a", "works": "w"}, "'works' is not a list of text"),
        ({"name": "a", "works": ["w", 1]}, "'works' is not a list of text"),
        ({"name": "a", "works": [], "steps": True}, "'steps' is not a whole number"),
        ({"name": "a", "works": [], "steps": 1.0}, "'steps' is not a whole number"),
        ({"name": "a", "works": [], "steps": "1"}, "'steps' is not a whole number"),
        ({"name": "a", "works": [], "rate": True}, "'rate' is not a number"),
        ({"name": "a", "works": [], "dry": 1}, "'dry' is not true or false"),
        ({"name": "a", "works": [], "note": 5}, "'note' is not text or null"),
        ({"name": "a\0b", "works": []}, "'name' holds a character"),
        ({"name": "a", "works": ["\ud800"]}, "'works' holds a character"),
        ({"name": "a", "works": [], "steps": 2**63}, "'steps' holds a character or number"),
    ],
)
def test_bind_arguments__wrong_body__names_the_cause(body: dict[str, Any], cause: str) -> None:
    with pytest.raises(UsageError, match=cause.replace("(", r"\(")):
        bind_arguments(parameters_of(_train), body)


def test_bind_arguments__literal_and_objects__match_by_value_and_type() -> None:
    async def operation(kind: Literal["a", 1], shares: dict[str, int]) -> None: ...

    parameters = parameters_of(operation)
    assert bind_arguments(parameters, {"kind": 1, "shares": {"x": 1}}) == {"kind": 1, "shares": {"x": 1}}
    for body in ({"kind": True, "shares": {}}, {"kind": "b", "shares": {}}, {"kind": "a", "shares": {"x": "1"}}):
        with pytest.raises(UsageError):
            bind_arguments(parameters, body)


def test_parameters_of__method__leaves_self_out() -> None:
    class Service:
        async def show(self, text: str = "") -> None: ...

    assert list(parameters_of(Service().show)) == ["text"]


def test_parameters_of__type_that_json_cannot_bring__refuses() -> None:
    async def takes_bytes(raw: bytes) -> None: ...
    async def takes_all(**rest: str) -> None: ...

    for operation in (takes_bytes, takes_all):
        with pytest.raises(TypeError):
            parameters_of(operation)


@pytest.mark.parametrize(
    "raw",
    [
        *(b"", b"[]", b"null", b'"a"', b"{", b'{"a":NaN}', b'{"a":Infinity}', b'{"a":1,"a":2}', b"\xff"),
        b"[" * 100_000,
        b'{"a":' + b"9" * 5000 + b"}",
    ],
)
def test_parse_body__not_one_plain_object__refuses(raw: bytes) -> None:
    with pytest.raises(UsageError):
        parse_body(raw)


def test_parse_body__float_beyond_range__is_refused_when_bound() -> None:
    async def operation(rate: float) -> None: ...

    with pytest.raises(UsageError):
        bind_arguments(parameters_of(operation), parse_body(b'{"rate":1e999}'))


_PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
_JSON = _PLAIN | st.lists(_PLAIN, max_size=2)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(body=st.dictionaries(st.sampled_from(["name", "works", "steps", "rate", "dry", "note", "x"]), _JSON))
def test_bind_arguments__anything__binds_right_types_or_refuses(body: dict[str, Any]) -> None:
    try:
        bound = bind_arguments(parameters_of(_train), body)
    except UsageError:
        return
    assert isinstance(bound["name"], str)
    assert all(isinstance(work, str) for work in bound["works"])
    assert type(bound.get("steps", 0)) is int


def test_bind_arguments__path_with_bytes_that_are_not_utf8__passes_and_only_as_a_path() -> None:
    async def add(paths: list[FilePath], author: str) -> None: ...

    parameters = parameters_of(add)
    body = parse_body(b'{"paths": ["/w/gr\\udcfcn.txt"], "author": "Elsin"}')
    assert os.fsencode(bind_arguments(parameters, body)["paths"][0]) == b"/w/gr\xfcn.txt"
    for bad in (
        {"paths": [], "author": "\udcfc"},
        {"paths": ["\ud800"], "author": ""},
        {"paths": ["\0"], "author": ""},
    ):
        with pytest.raises(UsageError, match="holds a character"):
            bind_arguments(parameters, bad)


@dataclass(frozen=True)
class NewLoan:
    """As many facts as no signature should list."""

    reader: Slug
    books: tuple[str, ...]
    days: int = 30
    note: str | None = None


async def _lend(asked: NewLoan) -> NewLoan:
    """Lend books.

    More than one sentence.
    """
    return asked


async def test_start__operation_with_a_request__its_fields_are_the_arguments() -> None:
    call = call_of(_lend)

    assert await call.start({"reader": "a", "books": ["x", "y"]}) == NewLoan(Slug("a"), ("x", "y"))
    assert [(item.name, item.wanted, item.is_required) for item in call.parameters.values()] == [
        ("reader", "text", True),
        ("books", "a list of text", True),
        ("days", "a whole number", False),
        ("note", "text or null", False),
    ]
    assert call.description == "Lend books."


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        ({"books": []}, "the argument 'reader' is missing"),
        ({"reader": "a", "books": [1]}, "the argument 'books' is not a list of text"),
        ({"reader": "a", "books": [], "asked": {}}, "unknown argument 'asked'"),
    ],
)
def test_start__operation_with_a_request__errors_are_those_of_keywords(body: dict[str, Any], cause: str) -> None:
    with pytest.raises(UsageError, match=cause):
        call_of(_lend).start(body)


async def test_start__operation_with_keywords__gets_them() -> None:
    assert (await call_of(_train).start({"name": "a", "works": []}))["steps"] == 10
