"""What the nodes of a federation agree on: terms, shares and invitation, and the strict form of their messages."""

import base64
import hashlib
from collections.abc import Mapping
from typing import Any

from viz_node.domain.ids import WHOLE, Account, BasisPoints, is_hex_digest, parse_account
from viz_node.domain.manifest import canonical_bytes
from viz_node.domain.recipe import parse_recipe
from viz_node.domain.royalty import split_from_shares
from viz_node.domain.strict_json import parse_json
from viz_node.errors import UsageError, VerificationError

EQUAL = "equal"
MAX_MEMBERS = 64
MAX_ROUNDS = 1000
MAX_MESSAGE_BYTES = 64 * 1024
_TERMS = {"name", "base", "rounds", "members", "split", "recipe", "run_seed"}
_INVITATION = {"federation_id", "peer_id", "addresses", "name"}


def agreed_shares(split: str | Mapping[str, int], accounts: list[str]) -> dict[Account, BasisPoints]:
    """The shares that the terms mean for these members; what `equal` leaves over goes to the first accounts.

    Raises: InvalidSplitError, UsageError.
    """
    if isinstance(split, str):
        if split != EQUAL:
            raise UsageError(f"{split!r} is no split", f"{EQUAL} or ACCOUNT=70,ACCOUNT=30")
        each, left = divmod(WHOLE, len(accounts))
        ordered = sorted(parse_account(account) for account in accounts)
        return {account: BasisPoints(each + (i < left)) for i, account in enumerate(ordered)}
    return dict(split_from_shares({parse_account(k): BasisPoints(v) for k, v in split.items()}).shares)


def terms_digest(terms: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical terms; members agree to it, and every message of the rounds repeats it."""
    return hashlib.sha256(canonical_bytes(terms)).hexdigest()


def parse_terms(terms: Any) -> dict[str, Any]:
    """A stranger's terms, if they are well-formed. Raises: VerificationError."""
    try:
        if set(terms) != _TERMS or set(terms["base"]) != {"name", "digest"}:
            raise ValueError("unknown or missing fields")
        if not is_hex_digest(terms["base"]["digest"]):
            raise ValueError("the base model has no digest")
        for field, low, high in (("rounds", 1, MAX_ROUNDS), ("members", 2, MAX_MEMBERS)):
            if type(terms[field]) is not int or not low <= terms[field] <= high:
                raise ValueError(f"{field} is out of range")
        agreed_shares(terms["split"], ["0x" + "0" * 40])
        if "seed" not in terms["recipe"]:
            raise ValueError("the recipe has no seed")
        parse_recipe(terms["recipe"])
        if not all(map(_is_name, (terms["name"], terms["run_seed"], terms["base"]["name"]))):
            raise ValueError("a name is malformed")
    except (ValueError, KeyError, TypeError, AttributeError, UsageError) as error:
        raise VerificationError(f"the terms are malformed: {error}") from error
    return dict(terms)


def write_invite(federation_id: str, name: str, peer_id: str, addresses: list[str]) -> str:
    """One word of text that leads others to the federation; it holds no secret."""
    body = {"federation_id": federation_id, "peer_id": peer_id, "addresses": addresses[:8], "name": name}
    return base64.urlsafe_b64encode(canonical_bytes(body)).decode().rstrip("=")


def parse_invite(invite: str) -> dict[str, Any]:
    """Read what `write_invite` wrote. Raises: UsageError."""
    try:
        raw = base64.urlsafe_b64decode(invite.strip() + "=" * (-len(invite.strip()) % 4))
        body = parse_message(raw, _INVITATION)
        if not all(map(_is_name, (body["federation_id"], body["peer_id"], body["name"], *body["addresses"]))):
            raise ValueError("a field is malformed")
    except (ValueError, TypeError, VerificationError) as error:
        raise UsageError("this is not an invitation", "paste all that `viz-node federation create` printed") from error
    return body


def parse_message(payload: bytes, fields: set[str]) -> dict[str, Any]:
    """A peer's JSON with exactly these fields, in canonical form. Raises: VerificationError."""
    try:
        if len(payload) > MAX_MESSAGE_BYTES:
            raise ValueError("too large")
        body = parse_json(payload)
        if set(body) != fields or canonical_bytes(body) != payload:
            raise ValueError("unexpected fields or form")
    except (ValueError, TypeError, RecursionError) as error:
        raise VerificationError("the federation message is malformed") from error
    return dict(body)


def _is_name(text: object) -> bool:
    return isinstance(text, str) and 0 < len(text) <= 200 and text.isprintable()
