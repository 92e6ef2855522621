"""JSON-RPC over HTTP with keep-alive and batches; the only place that talks to a chain's endpoint.

An answer counts under the id of its question alone, once, and with each key once: two programs that read the same bytes
can then not read two different answers.
"""

import re
from collections.abc import Sequence
from functools import cache, cached_property
from itertools import count
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec
import urllib3

from viz_node.chain.node.timed_http import TimedConnections
from viz_node.errors import ChainUnavailableError

BATCH_LIMIT = 100
CALL_SECONDS = 20.0
MAX_ANSWER_BYTES = 256 * 1024 * 1024
_PIECE_BYTES = 256 * 1024
# urllib3 names its object first; the message names the endpoint already, without its secrets.
_CONNECTION = re.compile(r"^\w+\(host=.*?, port=\w+\): ")


class _Key:
    """A key of an answer, equal to no other, so that a key given twice is seen."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


_Envelope = dict[_Key, msgspec.Raw]
_NULL = msgspec.Raw(b"null")


class RpcRefusedError(Exception):
    """The endpoint answered with an error object; `data` holds revert data if there is any."""

    def __init__(self, message: str, code: int = 0, data: bytes = b"") -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.data = data


class JsonRpc:
    """One endpoint; may be used from several threads. Errors of transport become ChainUnavailableError.

    A call takes at most `timeout_seconds`, from the connection to the last byte, however the endpoint spends them.
    """

    def __init__(self, url: str, timeout_seconds: float = CALL_SECONDS) -> None:
        self.url = url
        self._connections = TimedConnections(timeout_seconds)
        self._numbers = count(1)

    @property
    def name(self) -> str:
        """The endpoint without what may be a secret in its address: a password, or a key in its path."""
        try:
            parts = urlsplit(self.url)
            port = f":{parts.port}" if parts.port else ""
        except ValueError:
            return "an endpoint with a malformed address"
        return f"{parts.scheme}://{parts.hostname}{port}"

    def call(self, method: str, *params: Any, shape: Any = Any) -> Any:
        """The result of one request, read as the type `shape`. Raises: ChainUnavailableError, RpcRefusedError."""
        number = next(self._numbers)
        raw = self._post({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
        answer = self._opened(self._decoded(raw, _Envelope, method), method)
        told = self._id_of(answer, method)
        if told != number and not (told is None and "error" in answer):  # what could not be read has no id to repeat
            raise self._malformed(method, "it is the answer to another question")
        return self._result_of(answer, shape, method)

    def batch(self, requests: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        """Results in the order of the requests. Raises: ChainUnavailableError, RpcRefusedError."""
        results: list[Any] = []
        for start in range(0, len(requests), BATCH_LIMIT):
            part = {next(self._numbers): request for request in requests[start : start + BATCH_LIMIT]}
            body = [
                {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
                for number, (method, params) in part.items()
            ]
            answers = self._answers(self._decoded(self._post(body), list[_Envelope], "a batch"))
            if answers.keys() != part.keys():
                raise self._malformed("a batch", "it does not answer each question once")
            results += [self._result_of(answers[number], Any, method) for number, (method, _) in part.items()]
        return results

    def close(self) -> None:
        """Close the connections; a later call opens new ones."""
        self._connections.close()

    def _post(self, body: Any) -> bytes:
        if not self.url.lower().startswith(("http://", "https://")):
            raise ChainUnavailableError("an RPC address begins with http:// or https://", "check the one that you gave")
        try:
            return self._read(msgspec.json.encode(body))
        except urllib3.exceptions.HTTPError as error:
            detail = _CONNECTION.sub("", str(error)) or type(error).__name__
            raise ChainUnavailableError(
                f"the chain at {self.name} does not answer: {detail}", "check the RPC address; see `viz-node doctor`"
            ) from error

    def _decoded(self, raw: bytes | msgspec.Raw, shape: Any, what: str) -> Any:
        try:
            return _decoder(shape).decode(raw)
        except (ValueError, RecursionError) as error:
            raise self._malformed(what, error) from error

    def _malformed(self, what: str, reason: object) -> ChainUnavailableError:
        return ChainUnavailableError(
            f"the answer of {self.name} to {what} is malformed: {reason}", "check the RPC address, or use another"
        )

    def _opened(self, envelope: _Envelope, what: str) -> dict[str, msgspec.Raw]:
        answer = {key.name: value for key, value in envelope.items()}
        if len(answer) != len(envelope):
            raise self._malformed(what, "it has a key twice")
        return answer

    def _id_of(self, answer: dict[str, msgspec.Raw], what: str) -> int | None:
        number = self._decoded(answer.get("id", _NULL), int | None, what)
        return None if number is None else int(number)

    def _answers(self, envelopes: list[_Envelope]) -> dict[int | None, dict[str, msgspec.Raw]]:
        answers: dict[int | None, dict[str, msgspec.Raw]] = {}
        for envelope in envelopes:
            answer = self._opened(envelope, "a batch")
            number = self._id_of(answer, "a batch")
            if number in answers:
                raise self._malformed("a batch", "it answers a question twice")
            answers[number] = answer
        return answers

    def _result_of(self, answer: dict[str, msgspec.Raw], shape: Any, method: str) -> Any:
        error = self._decoded(answer.get("error", _NULL), Any, method)
        if error is not None:
            raise _refusal_of(error)
        if "result" not in answer:
            raise self._malformed(method, "it has neither a result nor an error")
        return self._decoded(answer["result"], shape, method)

    @cached_property
    def _headers(self) -> dict[str, str]:
        credentials = urllib3.util.parse_url(self.url).auth
        headers = urllib3.util.make_headers(accept_encoding="gzip", basic_auth=credentials and unquote(credentials))
        return headers | {"content-type": "application/json"}

    def _read(self, content: bytes) -> bytes:
        """The body of the answer, given up as soon as it is too long in size or time."""
        size, parts = 0, []
        with self._connections.post(self.url, content, self._headers) as answer:
            if answer.status in (413, 429) or answer.status >= 500:
                raise RpcRefusedError(f"HTTP status {answer.status}", answer.status)
            while part := answer.read1(_PIECE_BYTES, decode_content=True):
                size += len(part)
                if size > MAX_ANSWER_BYTES:
                    raise RpcRefusedError("the answer is too large", 413)
                parts.append(part)
        return b"".join(parts)


@cache
def _decoder(shape: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(shape, dec_hook=lambda _, name: _Key(name))


def _refusal_of(error: Any) -> RpcRefusedError:
    if not isinstance(error, dict):
        return RpcRefusedError(str(error)[:300])
    data = error.get("data")
    if isinstance(data, dict):
        data = data.get("data")
    is_hex = isinstance(data, str) and data.startswith("0x")
    code = error.get("code")
    return RpcRefusedError(
        str(error.get("message", ""))[:300],
        code if isinstance(code, int) else 0,
        to_bytes(data) if is_hex and isinstance(data, str) else b"",
    )


def ask(rpc: JsonRpc, method: str, *params: Any) -> Any:
    """The result of one request that no chain should refuse. Raises: ChainUnavailableError."""
    try:
        return rpc.call(method, *params)
    except RpcRefusedError as error:
        raise ChainUnavailableError(f"the chain refused {method}: {error.message}", "try again") from error


def to_int(text: Any) -> int:
    """Read a JSON-RPC quantity. Raises: ChainUnavailableError."""
    try:
        return int(text, 16)
    except (TypeError, ValueError) as error:
        raise ChainUnavailableError(f"the chain's answer is malformed: {text!r:.80} is not a quantity") from error


def to_quantity(text: Any) -> int:
    """Read a quantity that a verdict may rest on: below 2^64, spelt in the one canonical way.

    Raises: ChainUnavailableError.
    """
    value = to_int(text)
    if not 0 <= value < 1 << 64 or text != hex(value):
        raise ChainUnavailableError(f"the chain's answer is malformed: {text!r:.80} is not a canonical quantity")
    return value


def to_bytes(text: Any) -> bytes:
    """Read JSON-RPC data. Raises: ChainUnavailableError."""
    try:
        if not text.startswith("0x"):
            raise ValueError("no 0x")
        return bytes.fromhex(text[2:])
    except (AttributeError, ValueError) as error:
        raise ChainUnavailableError(f"the chain's answer is malformed: {text!r:.80} is not hex data") from error


def to_hex(data: bytes) -> str:
    """Bytes as JSON-RPC data."""
    return "0x" + data.hex()
