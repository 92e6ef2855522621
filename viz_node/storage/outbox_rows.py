"""Rows of the outbox: those of every version are read; facts that nothing reads again are not written any more."""

import json
from dataclasses import asdict
from typing import Any

from viz_node.domain.purposes import parse_purpose, purpose_body
from viz_node.domain.records import OutboxEntry
from viz_node.storage.database import Row


def outbox_entry(row: Row) -> OutboxEntry:
    """The entry of a row of `raw, body`."""
    body = json.loads(row[1])
    detail, kind = body.pop("detail"), body.pop("kind")
    told = {"description": detail.get("description", ""), "was_shown": detail.get("shown", False)}
    return OutboxEntry(**body | told, purpose=parse_purpose(kind, detail), raw=row[0])


def outbox_body(entry: OutboxEntry) -> dict[str, Any]:
    """The row's JSON: what the entry is for, and what was told of it, are its `detail`."""
    body = asdict(entry)
    told = {"description": body.pop("description"), "shown": body.pop("was_shown")}
    del body["raw"], body["purpose"]
    return body | {"kind": entry.kind, "detail": purpose_body(entry.purpose) | told}
