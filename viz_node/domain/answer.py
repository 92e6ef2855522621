"""What operations and jobs answer, as JSON holds it: records become objects once, at the edge.

A field that is `UNSET` is no key of the object.
"""

from typing import Any

from msgspec import UNSET, UnsetType, to_builtins

__all__ = ["UNSET", "UnsetType", "as_json"]


def as_json(answer: object) -> Any:
    """The answer with an object for each record, at any depth. Raises: TypeError (JSON has no such thing)."""
    # Bytes would become base64; nobody means that.
    return to_builtins(answer, builtin_types=(bytes, bytearray))
