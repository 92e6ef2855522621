"""Strict binding of a JSON body to an operation; knows no HTTP.

The keys are the operation's keyword parameters or, where it takes one request, the fields of that dataclass.
"""

import inspect
import json
import math
import types
import typing
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, is_dataclass
from typing import Any, Literal, Union

from viz_node.domain.names import FilePath, is_readable, without_escaped_bytes
from viz_node.domain.strict_json import parse_json
from viz_node.errors import UsageError

_PLAIN = (str, int, float, bool, type(None))
_LARGEST_INTEGER = 2**63 - 1
_REQUIRED = inspect.Parameter.empty


@dataclass(frozen=True)
class Parameter:
    """One keyword of an operation; `wanted` is its type as a caller would say it."""

    name: str
    annotation: Any
    is_required: bool
    wanted: str


@dataclass(frozen=True)
class Call:
    """An operation as its callers see it: what they may give, by name; `request` makes one record of that."""

    operation: Callable[..., Awaitable[object]]
    parameters: Mapping[str, Parameter]
    request: Callable[..., object] | None

    @property
    def description(self) -> str:
        """One sentence."""
        return (self.operation.__doc__ or "").strip().partition("\n")[0]

    def start(self, body: Mapping[str, Any]) -> Awaitable[object]:
        """Call the operation with what the body gives. Raises: UsageError (unknown, missing, wrong type)."""
        arguments = bind_arguments(self.parameters, body)
        return self.operation(**arguments) if self.request is None else self.operation(self.request(**arguments))


def call_of(operation: Callable[..., Awaitable[object]]) -> Call:
    """How to call the operation. Raises: TypeError (a parameter has no type, or one that JSON cannot bring)."""
    return Call(operation, parameters_of(operation), _request_of(operation))


def parameters_of(operation: Callable[..., object]) -> dict[str, Parameter]:
    """What a call may give, by name: keywords, or the fields of the request.

    Supported types are str, int, float, bool, None, Literal, `list[…]`, `tuple[…, ...]`, `dict[str, …]`, Any, and
    unions and NewTypes of them. Raises: TypeError (a parameter has no type, or one that JSON cannot bring).
    """
    found: dict[str, Parameter] = {}
    taken = _request_of(operation) or operation
    for parameter in inspect.signature(taken, eval_str=True).parameters.values():
        if parameter.kind not in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            raise TypeError(f"{operation} takes {parameter}, which is no keyword")
        if parameter.annotation is _REQUIRED:
            raise TypeError(f"{operation} gives {parameter.name} no type")
        wanted = _spell(parameter.annotation)
        is_required = parameter.default is _REQUIRED
        found[parameter.name] = Parameter(parameter.name, parameter.annotation, is_required, wanted)
    return found


def _request_of(operation: Callable[..., object]) -> Callable[..., object] | None:
    """The dataclass that is the operation's only parameter, if it is one."""
    parameters = list(inspect.signature(operation, eval_str=True).parameters.values())
    only = parameters[0].annotation if len(parameters) == 1 else None
    return only if isinstance(only, type) and is_dataclass(only) else None


def parse_body(raw: bytes) -> dict[str, Any]:
    """Read a JSON object: UTF-8, no key twice, no NaN. Raises: UsageError."""
    try:
        body = parse_json(raw, may_hold_halves=True)
    except (ValueError, RecursionError) as error:
        told = f"the body is not valid JSON: {error}".removesuffix(": it is not JSON")
        raise UsageError(told, "send one JSON object") from error
    if not isinstance(body, dict):
        raise UsageError("the body is not a JSON object", 'send one JSON object, {} for "no arguments"')
    return body


def bind_arguments(parameters: Mapping[str, Parameter], body: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that `body` gives, converted nowhere but from a list to a tuple.

    Raises: UsageError (unknown, missing, wrong type).
    """
    unknown = sorted(set(body) - set(parameters))
    if unknown:
        raise UsageError(f"unknown argument {unknown[0]!r}", _choices(parameters))
    missing = [name for name, parameter in parameters.items() if parameter.is_required and name not in body]
    if missing:
        raise UsageError(f"the argument {missing[0]!r} is missing", _choices(parameters))
    for name, value in body.items():
        annotation = parameters[name].annotation
        if not _is_sane(value, annotation in (FilePath, list[FilePath], tuple[FilePath, ...])):
            raise UsageError(f"the argument {name!r} holds a character or number that no call can carry")
        if not _matches(value, annotation):
            raise UsageError(f"the argument {name!r} is not {parameters[name].wanted}", _choices(parameters))
    return {name: _held(value, parameters[name].annotation) for name, value in body.items()}


def _choices(parameters: Mapping[str, Parameter]) -> str:
    if not parameters:
        return "the call takes no arguments"
    return "the call takes " + ", ".join(
        f"{item.name}: {item.wanted}{'' if item.is_required else ' (optional)'}" for item in parameters.values()
    )


def _is_sane(value: Any, is_path: bool = False) -> bool:
    """NUL and lone surrogates break paths and databases, larger integers and infinities break columns."""
    if isinstance(value, str):
        return "\0" not in value and is_readable(without_escaped_bytes(value) if is_path else value)
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, int):
        return -_LARGEST_INTEGER <= value <= _LARGEST_INTEGER
    if isinstance(value, list):
        return all(_is_sane(item, is_path) for item in value)
    if isinstance(value, dict):
        return all(_is_sane(key) and _is_sane(item) for key, item in value.items())
    return True


def _matches(value: Any, annotation: Any) -> bool:
    annotation = _resolve(annotation)
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation in (Any, object):
        return True
    if origin in (Union, types.UnionType):
        return any(_matches(value, item) for item in arguments)
    if origin is Literal:
        return any(type(value) is type(item) and value == item for item in arguments)
    if origin in (list, tuple):
        return isinstance(value, list) and all(_matches(item, arguments[0]) for item in value)
    if origin is dict:
        return isinstance(value, dict) and all(_matches(item, arguments[1]) for item in value.values())
    # A JSON `true` is an int to isinstance, and a whole number is a fair float.
    return type(value) is annotation or (annotation is float and type(value) is int)


def _held(value: Any, annotation: Any) -> Any:
    kinds = (annotation, *typing.get_args(annotation))
    is_tuple = isinstance(value, list) and any(typing.get_origin(kind) is tuple for kind in kinds)
    return tuple(value) if is_tuple else value


def _resolve(annotation: Any) -> Any:
    while isinstance(annotation, typing.NewType):
        annotation = annotation.__supertype__
    return type(None) if annotation is None else annotation


def _spell(annotation: Any) -> str:
    """How a caller would say the type. Raises: TypeError (JSON cannot bring it)."""
    annotation = _resolve(annotation)
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation in (Any, object):
        return "any value"
    if annotation in _PLAIN:
        return {str: "text", int: "a whole number", float: "a number", bool: "true or false"}.get(annotation, "null")
    if origin in (Union, types.UnionType):
        return " or ".join(_spell(item) for item in arguments)
    if origin is Literal:
        return "one of " + ", ".join(json.dumps(item) for item in arguments)
    if (origin is list and len(arguments) == 1) or (origin is tuple and arguments[1:] == (...,)):
        return f"a list of {_spell(arguments[0])}"
    if origin is dict and len(arguments) == 2 and arguments[0] is str:
        return f"an object of {_spell(arguments[1])}"
    raise TypeError(f"{annotation} cannot come from JSON")
