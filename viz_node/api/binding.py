"""Strict binding of a JSON body to the keyword parameters of an operation; knows no HTTP."""

import inspect
import json
import math
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
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


def parameters_of(operation: Callable[..., Any]) -> dict[str, Parameter]:
    """The keywords that a call may give, by name.

    Supported types are str, int, float, bool, None, Literal, `list[…]`, `dict[str, …]`, Any, and unions and NewTypes of
    them. Raises: TypeError (a parameter has no type, or one that JSON cannot bring).
    """
    found: dict[str, Parameter] = {}
    for parameter in inspect.signature(operation, eval_str=True).parameters.values():
        if parameter.kind not in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            raise TypeError(f"{operation} takes {parameter}, which is no keyword")
        if parameter.annotation is _REQUIRED:
            raise TypeError(f"{operation} gives {parameter.name} no type")
        wanted = _spell(parameter.annotation)
        is_required = parameter.default is _REQUIRED
        found[parameter.name] = Parameter(parameter.name, parameter.annotation, is_required, wanted)
    return found


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
    """The keyword arguments that `body` gives, nothing converted. Raises: UsageError (unknown, missing, wrong type)."""
    unknown = sorted(set(body) - set(parameters))
    if unknown:
        raise UsageError(f"unknown argument {unknown[0]!r}", _choices(parameters))
    missing = [name for name, parameter in parameters.items() if parameter.is_required and name not in body]
    if missing:
        raise UsageError(f"the argument {missing[0]!r} is missing", _choices(parameters))
    for name, value in body.items():
        annotation = parameters[name].annotation
        if not _is_sane(value, annotation in (FilePath, list[FilePath])):
            raise UsageError(f"the argument {name!r} holds a character or number that no call can carry")
        if not _matches(value, annotation):
            raise UsageError(f"the argument {name!r} is not {parameters[name].wanted}", _choices(parameters))
    return dict(body)


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
    if annotation is Any:
        return True
    if origin in (Union, types.UnionType):
        return any(_matches(value, item) for item in arguments)
    if origin is Literal:
        return any(type(value) is type(item) and value == item for item in arguments)
    if origin is list:
        return isinstance(value, list) and all(_matches(item, arguments[0]) for item in value)
    if origin is dict:
        return isinstance(value, dict) and all(_matches(item, arguments[1]) for item in value.values())
    # A JSON `true` is an int to isinstance, and a whole number is a fair float.
    return type(value) is annotation or (annotation is float and type(value) is int)


def _resolve(annotation: Any) -> Any:
    while isinstance(annotation, typing.NewType):
        annotation = annotation.__supertype__
    return type(None) if annotation is None else annotation


def _spell(annotation: Any) -> str:
    """How a caller would say the type. Raises: TypeError (JSON cannot bring it)."""
    annotation = _resolve(annotation)
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation is Any:
        return "any value"
    if annotation in _PLAIN:
        return {str: "text", int: "a whole number", float: "a number", bool: "true or false"}.get(annotation, "null")
    if origin in (Union, types.UnionType):
        return " or ".join(_spell(item) for item in arguments)
    if origin is Literal:
        return "one of " + ", ".join(json.dumps(item) for item in arguments)
    if origin is list and len(arguments) == 1:
        return f"a list of {_spell(arguments[0])}"
    if origin is dict and len(arguments) == 2 and arguments[0] is str:
        return f"an object of {_spell(arguments[1])}"
    raise TypeError(f"{annotation} cannot come from JSON")
