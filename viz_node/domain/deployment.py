"""Where a market lives: chain, addresses, first block and code; one file that all its nodes share."""

import json
import re
from dataclasses import asdict, dataclass

from viz_node.domain.ids import Account, parse_account
from viz_node.domain.strict_json import MalformedError, parse_json, why_malformed
from viz_node.errors import UsageError, VerificationError

MAX_DEPLOYMENT_BYTES = 4096
MARKET_VERSION = 2
"""Raised when a market's calls, entries or signatures change their meaning; the contract's EIP-712 domain names it."""
_FIRST_VERSION = 1  # its files do not name a version
NOBODY = Account("0x" + "00" * 20)
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Deployment:
    """A market; `block` is the first that may hold its events, `code_digest` the Keccak-256 of its code."""

    chain_id: int
    market: Account
    token: Account
    block: int
    code_digest: str
    version: int = MARKET_VERSION

    def to_bytes(self) -> bytes:
        """The file that `parse_deployment` reads."""
        return json.dumps(asdict(self), indent=2).encode() + b"\n"


def parse_deployment(raw: bytes) -> Deployment:
    """Read a deployment file. Raises: VerificationError."""
    if len(raw) > MAX_DEPLOYMENT_BYTES:
        raise VerificationError("the deployment file is larger than 4096 bytes")
    try:
        body = parse_json(raw)
        if "version" in body:  # another version may have other fields
            _check_version(body["version"])
        found = Deployment(**{"version": _FIRST_VERSION} | body)
        numbers = found.chain_id, found.block
        if not all(type(number) is int and 0 <= number < 2**63 for number in numbers):
            raise MalformedError("a number is out of range")
        if _DIGEST.fullmatch(found.code_digest) is None:
            raise MalformedError("code_digest is not 64 hex digits")
        _check_version(found.version)
        return Deployment(
            found.chain_id, parse_account(found.market), parse_account(found.token), found.block, found.code_digest
        )
    except (ValueError, TypeError, AttributeError, RecursionError, UsageError) as error:
        raise VerificationError(
            f"the deployment file is malformed: {why_malformed(error)}", "ask its publisher for a new one"
        ) from error


def _check_version(version: object) -> None:
    if type(version) is not int:
        raise MalformedError("the version is not a number")
    if version != MARKET_VERSION:
        raise VerificationError(
            f"the market is of version {version}, and this program speaks version {MARKET_VERSION}",
            "name a market of that version, or install the release that the market was deployed with",
        )
