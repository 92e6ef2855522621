"""Metered use: what is asked, the receipt of what was answered, and what the payer's voucher commits to.

Use n is asked with a voucher for n uses whose root is over the receipts of uses 1 to n - 1, and answered with receipt
n. So neither side can go on without the other's signature on everything before, and at most one use is ever in dispute.
The tree over the receipts is that of RFC 6962: it only grows, and its state is one digest per power of two.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import msgspec

from viz_node.domain.ids import is_hex_digest
from viz_node.domain.limits import USE_TOKENS
from viz_node.domain.strict_json import MalformedError, parse_json, why_malformed
from viz_node.errors import UsageError, VerificationError

RECEIPT_FORMAT = "viz-node/use-receipt/1"
RECEIPT_CONTEXT = b"viz-node/use-receipt/1\0"
RECEIPTS_FORMAT = "viz-node/receipts/1"
MAX_RECEIPTS_BYTES = 256 * 1024 * 1024
MAX_PROMPT_BYTES = 32 * 1024
MAX_REQUEST_BYTES = 256 * 1024
MAX_ANSWER_BYTES = 256 * 1024
_LARGEST = 2**53
_T = TypeVar("_T")

Peaks = tuple[tuple[int, str], ...]
"""The state of a usage tree: sizes, and digests in hex, of its perfect subtrees, the largest first."""


@dataclass(frozen=True)
class Voucher:
    """What the payer owes for all uses of the channel so far; `usage_root` commits to the receipts before the last."""

    channel: int
    cumulative: int
    uses: int
    usage_root: bytes

    def __post_init__(self) -> None:
        fits = 0 < self.channel < 1 << 64 and 0 < self.cumulative < 1 << 128 and 0 < self.uses < 1 << 64
        if not fits or len(self.usage_root) != 32:
            raise UsageError("a voucher needs a channel, uses and an amount above zero, and a usage root of 32 bytes")


@dataclass(frozen=True)
class UseRequest:
    """A prompt for an adapter, and the number of uses of the channel that are paid with it."""

    adapter_id: str
    channel: int
    uses: int
    prompt: str
    max_new_tokens: int

    def __post_init__(self) -> None:
        numbers = (self.channel, self.uses, self.max_new_tokens)
        if not all(type(number) is int and 0 < number < _LARGEST for number in numbers):
            raise UsageError("channel, uses and tokens are whole numbers above zero")
        if not is_hex_digest(self.adapter_id) or not isinstance(self.prompt, str):
            raise UsageError("the adapter or the prompt of a use is malformed")
        if not self.prompt.strip() or len(self.prompt.encode()) > MAX_PROMPT_BYTES:
            raise UsageError(f"a prompt has 1 to {MAX_PROMPT_BYTES} bytes", "shorten it")
        USE_TOKENS.check(self.max_new_tokens)

    def digest(self) -> str:
        """The digest by which the receipt names the request."""
        return hashlib.sha256(_canonical(asdict(self))).hexdigest()

    def to_bytes(self, voucher_signature: bytes) -> bytes:
        """The wire form."""
        return _canonical(asdict(self) | {"signature": voucher_signature.hex()})


@dataclass(frozen=True)
class UseReceipt:
    """What the owner's peer signs for a use: digests of request and answer; `market` is the domain of its vouchers."""

    market: str
    channel: int
    uses: int
    adapter_id: str
    request: str
    answer: str

    def payload(self) -> bytes:
        """The canonical bytes, which follow `RECEIPT_CONTEXT` under the signature and are a leaf of the usage tree."""
        return _canonical(asdict(self) | {"format": RECEIPT_FORMAT})


@dataclass(frozen=True)
class SignedReceipt:
    """A receipt as a node keeps and shows it, with the signature of the owner's peer in hex."""

    market: str
    channel: int
    uses: int
    adapter_id: str
    request: str
    answer: str
    signature: str

    @property
    def receipt(self) -> UseReceipt:
        """Without the signature."""
        return UseReceipt(self.market, self.channel, self.uses, self.adapter_id, self.request, self.answer)


@dataclass(frozen=True)
class UseAnswer:
    """The text of a use with its receipt."""

    text: str
    receipt: UseReceipt
    signature: bytes

    def to_bytes(self) -> bytes:
        """The wire form."""
        body = {"text": self.text, "receipt": asdict(self.receipt), "signature": self.signature.hex()}
        return _canonical(body)

    def signed_receipt(self) -> SignedReceipt:
        """The part of the answer that auditors get."""
        return SignedReceipt(**asdict(self.receipt), signature=self.signature.hex())


@dataclass(frozen=True)
class PublishedReceipts:
    """The receipts of a channel from its first use on, signed by the owner's peer; they hold digests, no texts."""

    peer_id: str
    receipts: tuple[UseReceipt, ...]
    signatures: tuple[bytes, ...]

    def __post_init__(self) -> None:
        if not self.receipts or len(self.receipts) != len(self.signatures):
            raise UsageError("receipts are published from the first use on, each with its signature")
        first = self.receipts[0]
        for number, receipt in enumerate(self.receipts, 1):
            place = receipt.market, receipt.channel, receipt.adapter_id, receipt.uses
            if place != (first.market, first.channel, first.adapter_id, number):
                raise UsageError(f"receipt {number} is missing, or is of another channel")

    @property
    def channel(self) -> int:
        """The channel of all of them."""
        return self.receipts[0].channel

    @property
    def market(self) -> str:
        """The domain of its market's vouchers."""
        return self.receipts[0].market

    def roots(self) -> Iterator[bytes]:
        """The roots that the vouchers for 1, 2, … uses commit to."""
        tree = UsageTree()
        yield tree.root()
        for receipt in self.receipts:
            tree.append(receipt)
            yield tree.root()

    def to_bytes(self) -> bytes:
        """The file."""
        pairs = zip(self.receipts, self.signatures, strict=True)
        rows = [asdict(receipt) | {"signature": signature.hex()} for receipt, signature in pairs]
        return _canonical({"format": RECEIPTS_FORMAT, "peer_id": self.peer_id, "receipts": rows}) + b"\n"


class UsageTree:
    """The receipts so far."""

    def __init__(self, state: Peaks = ()) -> None:
        self._peaks = [(size, bytes.fromhex(digest)) for size, digest in state]

    @property
    def state(self) -> Peaks:
        """The peaks from which the same tree is made again."""
        return tuple((size, digest.hex()) for size, digest in self._peaks)

    def append(self, receipt: UseReceipt) -> None:
        """Add the next receipt."""
        peak = 1, hashlib.sha256(b"\0" + receipt.payload()).digest()
        while self._peaks and self._peaks[-1][0] == peak[0]:
            size, left = self._peaks.pop()
            peak = 2 * size, _node(left, peak[1])
        self._peaks.append(peak)

    def root(self) -> bytes:
        """The RFC 6962 root; 32 zero bytes before the first receipt."""
        if not self._peaks:
            return bytes(32)
        digest = self._peaks[-1][1]
        for _, left in reversed(self._peaks[:-1]):
            digest = _node(left, digest)
        return digest


def parse_use_request(raw: bytes) -> tuple[UseRequest, bytes]:
    """A stranger's request and the signature of its voucher. Raises: VerificationError."""

    def parse() -> tuple[UseRequest, bytes]:
        body = _object(raw, MAX_REQUEST_BYTES)
        signature = bytes.fromhex(body.pop("signature"))
        return UseRequest(**body), signature

    return _translated(parse, "the request for a use is malformed")


def parse_use_answer(raw: bytes) -> UseAnswer:
    """A stranger's answer; its signature is not checked, its text is the receipt's. Raises: VerificationError."""

    def parse() -> UseAnswer:
        body = _object(raw, 2 * MAX_ANSWER_BYTES)
        answer = UseAnswer(body["text"], UseReceipt(**body["receipt"]), bytes.fromhex(body["signature"]))
        if len(answer.text.encode()) > MAX_ANSWER_BYTES or text_digest(answer.text) != answer.receipt.answer:
            raise MalformedError("the text is not that of the receipt")
        return answer

    return _translated(parse, "the answer to a use is malformed")


def parse_signed_receipt(text: str) -> SignedReceipt:
    """A row of the database. Raises: VerificationError (it was changed by another hand)."""
    try:
        return msgspec.json.decode(text, type=SignedReceipt)
    except msgspec.MsgspecError as error:
        raise VerificationError(f"the record of a receipt is malformed: {error}", "restore a backup") from error


def parse_receipts(raw: bytes) -> PublishedReceipts:
    """A stranger's file of receipts; their signatures are not checked. Raises: VerificationError."""

    def parse() -> PublishedReceipts:
        body = _object(raw, MAX_RECEIPTS_BYTES)
        if body.pop("format") != RECEIPTS_FORMAT or set(body) != {"peer_id", "receipts"}:
            raise MalformedError("unknown format")
        signatures = tuple(bytes.fromhex(row.pop("signature")) for row in body["receipts"])
        receipts = tuple(_checked(UseReceipt(**row)) for row in body["receipts"])
        return PublishedReceipts(str(body["peer_id"]), receipts, signatures)

    return _translated(parse, "the file of receipts is malformed")


def _checked(receipt: UseReceipt) -> UseReceipt:
    digests = (receipt.market, receipt.adapter_id, receipt.request, receipt.answer)
    numbers = (receipt.channel, receipt.uses)
    if not all(isinstance(digest, str) and is_hex_digest(digest) for digest in digests):
        raise MalformedError("a digest is malformed")
    if not all(type(number) is int and 0 < number < _LARGEST for number in numbers):
        raise MalformedError("a number is malformed")
    return receipt


def text_digest(text: str) -> str:
    """The digest of an answer, as its receipt has it."""
    return hashlib.sha256(text.encode()).hexdigest()


def _object(raw: bytes, limit: int) -> dict[str, Any]:
    if len(raw) > limit:
        raise MalformedError("too large")
    return dict(parse_json(raw))


def _translated(parse: Callable[[], _T], message: str) -> _T:
    try:
        return parse()
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, UsageError) as error:
        raise VerificationError(f"{message}: {why_malformed(error)}") from error


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()


def _canonical(body: dict[str, Any]) -> bytes:
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
