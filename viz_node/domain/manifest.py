"""The signed statement of an adapter: files and digests, base model, lineage, license, split and evaluation.

The signature covers `SIGNING_CONTEXT` and the payload's bytes as they travel; the adapter's id is the SHA-256 of those
bytes, so that chain, announcement and manifest name the same thing. A payload that is not in canonical form
(sorted keys, no spaces, UTF-8) is refused: one manifest has one id.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from viz_node.domain.ids import Account, AdapterId, BasisPoints, PeerId, WorkId, is_hex_digest, parse_account
from viz_node.domain.permissions import Permissions, parse_permissions
from viz_node.domain.royalty import RoyaltySplit, split_from_shares
from viz_node.domain.strict_json import MalformedError, parse_json, why_malformed
from viz_node.errors import UsageError, VerificationError

FORMAT = "viz-node/manifest/1"
SIGNING_CONTEXT = b"viz-node/manifest/1\0"
MAX_MANIFEST_BYTES = 256 * 1024
FILE_NAMES = ("adapter_config.json", "adapter_model.safetensors")


@dataclass(frozen=True)
class BaseModelRef:
    """A base model by name and by the digest of its weights, configuration and tokenizer."""

    name: str
    digest: str


@dataclass(frozen=True)
class ManifestFile:
    """One file of the adapter: its plain digest, and the sealed blob that peers exchange."""

    name: str
    size_bytes: int
    digest: str
    blob_id: str
    sealed_size_bytes: int


@dataclass(frozen=True)
class LicenseTerms:
    """What a licensee gets: `perpetual` or `metered` (duration 0), or `subscription` (seconds per payment)."""

    kind: str
    duration_seconds: int
    permissions: Permissions

    def __post_init__(self) -> None:
        known = {("perpetual", False), ("subscription", True), ("metered", False)}
        if (self.kind, self.duration_seconds > 0) not in known:
            raise UsageError(
                f"{self.kind!r} for {self.duration_seconds} s is not a license", "perpetual, subscription or metered"
            )

    def digest(self) -> bytes:
        """SHA-256 of the canonical terms; the chain registers it."""
        return hashlib.sha256(canonical_bytes(asdict(self))).digest()


@dataclass(frozen=True)
class AdapterManifest:
    """Everything a buyer may rely on; `evaluation` and `training` hold decimal strings and integers, no floats.

    `key_hash` is keccak256 of the key that opens the files: what an order in escrow is delivered and judged by.
    """

    name: str
    account: Account
    peer_id: PeerId
    base_model: BaseModelRef
    files: tuple[ManifestFile, ...]
    key_hash: str
    parents: tuple[AdapterId, ...]
    license: LicenseTerms
    split: RoyaltySplit
    works: tuple[WorkId, ...]
    training: Mapping[str, str | int]
    evaluation: Mapping[str, str | int]
    created: int

    def payload(self) -> bytes:
        """The canonical bytes that are signed and hashed."""
        body = asdict(self)
        body["format"] = FORMAT
        body["split"] = dict(self.split.shares)
        return canonical_bytes(body)

    def adapter_id(self) -> AdapterId:
        """The id under which the network and the chain know this adapter."""
        return AdapterId(hashlib.sha256(self.payload()).hexdigest())


def canonical_bytes(body: object) -> bytes:
    """JSON with sorted keys, no spaces, UTF-8."""
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def parse_manifest(payload: bytes) -> AdapterManifest:
    """Read a stranger's payload. Raises: VerificationError (anything not exactly as we write it)."""
    if len(payload) > MAX_MANIFEST_BYTES:
        raise VerificationError("the manifest is larger than 256 KiB")
    try:
        body = parse_json(payload)
        manifest = _manifest_from(body)
        if manifest.payload() != payload:
            raise MalformedError("not in canonical form")
        _check_limits(manifest)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, UsageError) as error:
        raise VerificationError(f"the manifest is malformed: {why_malformed(error)}") from error
    return manifest


def _manifest_from(body: Any) -> AdapterManifest:
    return AdapterManifest(
        name=body["name"],
        account=parse_account(body["account"]),
        peer_id=PeerId(body["peer_id"]),
        base_model=BaseModelRef(**body["base_model"]),
        files=tuple(ManifestFile(**entry) for entry in body["files"]),
        key_hash=body["key_hash"],
        parents=tuple(AdapterId(parent) for parent in body["parents"]),
        license=_license_from(**body["license"]),
        split=split_from_shares({parse_account(k): BasisPoints(v) for k, v in body["split"].items()}),
        works=tuple(WorkId(work) for work in body["works"]),
        training=dict(body["training"]),
        evaluation=dict(body["evaluation"]),
        created=body["created"],
    )


def _license_from(kind: str, duration_seconds: int, permissions: object) -> LicenseTerms:
    return LicenseTerms(kind, duration_seconds, parse_permissions(permissions, is_whole=True))


def _check_limits(manifest: AdapterManifest) -> None:
    digests = [manifest.base_model.digest, manifest.key_hash, *manifest.parents, *manifest.works]
    digests += [value for entry in manifest.files for value in (entry.digest, entry.blob_id)]
    sizes = [size for entry in manifest.files for size in (entry.size_bytes, entry.sealed_size_bytes)]
    numbers = [*sizes, manifest.created, manifest.license.duration_seconds]
    facts = [*manifest.training.items(), *manifest.evaluation.items()]
    texts = [manifest.name, manifest.peer_id, manifest.base_model.name]
    if not all(is_hex_digest(digest) for digest in digests):
        raise MalformedError("a digest is not 64 hex digits")
    if not all(type(number) is int and 0 <= number < 2**53 for number in numbers):
        raise MalformedError("a number is out of range")
    if not all(isinstance(key, str) and (type(value) is int or isinstance(value, str)) for key, value in facts):
        raise MalformedError("training and evaluation hold text and integers only")
    if not all(isinstance(text, str) and 0 < len(text) <= 200 and text.isprintable() for text in texts):
        raise MalformedError("a name is empty, too long or not printable")
    if tuple(entry.name for entry in manifest.files) != FILE_NAMES:
        raise MalformedError(f"the files must be {', '.join(FILE_NAMES)}")
