"""The messages of coordinator and members as Flower records.

Four kinds, each repeating run id and terms digest: `hello` (a query: what is your layout?), `refused` (a query: leave,
and why), a training round, and the closing message with the final vector. A vector travels as one array, because Flower
fetches every array with a request of its own: 448 LoRA matrices took 162 s per round at 100 ms, one array took 12 s.
"""

import hashlib
import math
from typing import Any

from flwr.app import ArrayRecord, ConfigRecord, MetricRecord, RecordDict

from viz_node.domain.ids import is_hex_digest
from viz_node.domain.rounds import Agreement, Layout
from viz_node.errors import VerificationError
from viz_node.federation.trainer import Vector
from viz_node.federation.vectors import MAX_ELEMENTS, Update, check_vector

STUB_BUNDLE = b"viz-node federation 1: no code is shipped\n"
STUB_DIGEST = hashlib.sha256(STUB_BUNDLE).hexdigest()
"""The only Flower application bundle that a member accepts; it holds no code."""

HELLO = "hello"
REFUSED = "refused"

_NAME_LIMIT = 128


def make_config(agreement: Agreement, layout: Layout | None, **values: str | int) -> ConfigRecord:
    """The part of every message that says what it belongs to."""
    config: dict[str, Any] = {"run-id": agreement.run_id, "terms-digest": agreement.terms_digest, **values}
    if layout is not None:
        config |= {"layout-digest": layout.digest, "vector-size": layout.size}
    return ConfigRecord(config)


def make_content(config: ConfigRecord, vector: Vector | None = None, **metrics: int | float) -> RecordDict:
    """A message's content with the vector as its single array."""
    content = RecordDict({"config": config})
    if vector is not None:
        content["arrays"] = ArrayRecord([vector])
    if metrics:
        content["metrics"] = MetricRecord({name.replace("_", "-"): value for name, value in metrics.items()})
    return content


def read_config(content: RecordDict, agreement: Agreement) -> dict[str, Any]:
    """The config record, if it is of this federation and these terms. Raises: VerificationError."""
    config = content.config_records.get("config")
    if config is None:
        raise VerificationError("the message has no config record")
    if config.get("run-id") != agreement.run_id:
        raise VerificationError("the message is of another federation")
    if config.get("terms-digest") != agreement.terms_digest:
        raise VerificationError("the message is of other terms", "compare the terms that both sides signed")
    return dict(config)


def read_layout(config: dict[str, Any]) -> Layout | None:
    """The layout that the message states, None when it states none. Raises: VerificationError."""
    digest, size = config.get("layout-digest"), config.get("vector-size")
    if digest is None and size is None:
        return None
    if not is_hex_digest(digest) or not isinstance(size, int) or not 0 < size <= MAX_ELEMENTS:
        raise VerificationError("the message's layout is malformed")
    return Layout(str(digest), size)


def read_name(config: dict[str, Any], default: str) -> str:
    """The name under which a member appears in reports. Raises: VerificationError."""
    name = config.get("member", "") or default
    if not isinstance(name, str) or len(name) > _NAME_LIMIT or not name.isprintable():
        raise VerificationError("the member's name is malformed")
    return name


def read_round(config: dict[str, Any]) -> int:
    """The round that the message belongs to. Raises: VerificationError."""
    number = config.get("round")
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise VerificationError("the message's round number is malformed")
    return number


def read_vector(content: RecordDict, size: int) -> Vector:
    """The single array of the message. Raises: VerificationError."""
    record = content.array_records.get("arrays")
    if record is None or len(record) != 1:
        raise VerificationError("the message does not hold exactly one array")
    array = next(iter(record.values()))
    if array.dtype != "float32" or tuple(array.shape) != (size,):
        raise VerificationError(
            f"the array is {array.dtype} of shape {tuple(array.shape)}, expected float32 of ({size},)"
        )
    try:
        return check_vector(array.numpy(), size)
    except (ValueError, EOFError, OSError, TypeError) as error:
        raise VerificationError(f"the array does not parse: {error}") from error


def read_metric(content: RecordDict, name: str) -> int | float:
    """A finite number from the metrics. Raises: VerificationError."""
    record = content.metric_records.get("metrics")
    value = None if record is None else record.get(name)
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise VerificationError(f"the message has no number {name}")
    return value


def read_update(content: RecordDict, agreement: Agreement, layout: Layout, round_number: int, member: str) -> Update:
    """A member's reply to a round. Raises: VerificationError when anything is not of this round, layout and run."""
    config = read_config(content, agreement)
    if read_layout(config) != layout:
        raise VerificationError("the update has another layout", "every member needs the same base model and recipe")
    if read_round(config) != round_number:
        raise VerificationError("the update is of another round")
    tokens = read_metric(content, "num-examples")
    if not isinstance(tokens, int):
        raise VerificationError("the number of tokens is not whole")
    return Update(member, read_vector(content, layout.size), tokens, float(read_metric(content, "loss")))
