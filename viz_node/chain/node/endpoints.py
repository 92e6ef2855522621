"""Several endpoints of one chain behind one face: the first that works answers, a wrong one never does.

An endpoint is asked for chain id, genesis block and the market's code before its first answer counts, and again after
each failure. One that failed is passed over for a while that doubles with each failure in a row; if none is left, all
are tried again. A refusal by the chain itself, such as a revert, is an answer and moves nothing.
"""

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

from viz_node.chain.encoding.hashing import keccak
from viz_node.chain.node.rpc import CALL_SECONDS, JsonRpc, RpcRefusedError, to_bytes, to_hex, to_int
from viz_node.domain.deployment import Deployment
from viz_node.errors import ChainUnavailableError, WrongChainError

log = logging.getLogger(__name__)

FIRST_REST_SECONDS = 5.0
LONGEST_REST_SECONDS = 300.0
_TOO_MANY_REQUESTS = 429
_SERVER_ERROR = 500
_TOKEN_QUESTION = keccak(b"token()")[:4]


class Endpoints(JsonRpc):
    """The endpoints of a market's chain, best first; may be used from several threads."""

    def __init__(
        self,
        urls: Sequence[str],
        deployment: Deployment,
        timeout_seconds: float = CALL_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(urls[0], timeout_seconds)
        self._deployment = deployment
        self._clock = clock
        self._routes = [_Route(JsonRpc(url, timeout_seconds)) for url in urls]
        self._genesis: str | None = None

    def call(self, method: str, *params: Any, shape: Any = Any) -> Any:
        """The result of one request, read as the type `shape`. Raises: ChainUnavailableError, RpcRefusedError."""
        return self._ask(lambda rpc: rpc.call(method, *params, shape=shape))

    def batch(self, requests: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        """The results in order, all from one endpoint. Raises: ChainUnavailableError, RpcRefusedError."""
        return list(self._ask(lambda rpc: rpc.batch(requests)))

    def check(self) -> None:
        """Ask all. Raises: WrongChainError (one belongs to another chain), ChainUnavailableError (none answers)."""
        failures = []
        for route in self._routes:
            try:
                self._verify(route)
            except WrongChainError:
                raise
            except ChainUnavailableError as error:
                failures.append(error)
        if len(failures) == len(self._routes):
            raise failures[0]

    def close(self) -> None:
        """Close the connections; a later call opens new ones."""
        for route in self._routes:
            route.rpc.close()

    def _ask(self, ask: Callable[[JsonRpc], Any]) -> Any:
        now = self._clock()
        resting = [route for route in self._routes if route.rests_until > now]
        failures: list[ChainUnavailableError] = []
        for route in [route for route in self._routes if route not in resting] or resting:
            try:
                if not route.is_verified:
                    self._verify(route)
                answer = ask(route.rpc)
                route.failures = 0
                return answer
            except RpcRefusedError as error:
                if error.code != _TOO_MANY_REQUESTS and not _SERVER_ERROR <= error.code < 2 * _SERVER_ERROR:
                    raise
                failures.append(ChainUnavailableError(f"{route.rpc.name} refuses: {error.message}", "try again"))
            except ChainUnavailableError as error:
                failures.append(error)
            route.rest(now)
            log.warning("chain endpoint left out: %s", failures[-1].message)
        raise failures[0]

    def _verify(self, route: "_Route") -> None:
        genesis = verify_endpoint(route.rpc, self._deployment)
        if self._genesis not in (None, genesis):
            raise WrongChainError(f"{route.rpc.name} has another first block than the other endpoints", "remove it")
        self._genesis, route.is_verified = genesis, True


class _Route:
    def __init__(self, rpc: JsonRpc) -> None:
        self.rpc = rpc
        self.is_verified = False
        self.failures = 0
        self.rests_until = 0.0

    def rest(self, now: float) -> None:
        self.failures += 1
        self.is_verified = False
        self.rests_until = now + min(LONGEST_REST_SECONDS, FIRST_REST_SECONDS * 2 ** (self.failures - 1))


def verify_endpoint(rpc: JsonRpc, deployment: Deployment) -> str:
    """The hash of the first block, if the endpoint is of the market's chain and knows the market's code and token.

    Raises: WrongChainError, ChainUnavailableError.
    """
    requests = [("eth_chainId", []), ("eth_getBlockByNumber", ["0x0", False])]
    try:
        chain_id, genesis, code = rpc.batch([*requests, ("eth_getCode", [deployment.market, "latest"])])
    except RpcRefusedError as error:
        raise ChainUnavailableError(f"{rpc.name} refuses: {error.message}", "use another RPC") from error
    if to_int(chain_id) != deployment.chain_id:
        raise WrongChainError(
            f"{rpc.name} is chain {to_int(chain_id)}, and the market is on chain {deployment.chain_id}",
            "give the RPC address of the market's chain",
        )
    if not isinstance(genesis, dict) or not isinstance(genesis.get("hash"), str):
        raise ChainUnavailableError(f"{rpc.name} does not tell the first block", "use another RPC")
    if not to_bytes(code):
        raise WrongChainError(
            f"{rpc.name}: there is no contract at {deployment.market}", "the chain was reset, or the file is old"
        )
    if keccak(to_bytes(code)).hex() != deployment.code_digest:
        raise WrongChainError(f"{rpc.name}: another contract is at {deployment.market}", "check the deployment file")
    _require_token(rpc, deployment)
    return str(genesis["hash"])


def _require_token(rpc: JsonRpc, deployment: Deployment) -> None:
    """Raises: WrongChainError if the market is paid in another token than the file says, ChainUnavailableError."""
    question = {"to": deployment.market, "data": to_hex(_TOKEN_QUESTION)}
    try:
        answer = to_bytes(rpc.call("eth_call", question, "latest"))
    except RpcRefusedError as error:
        raise ChainUnavailableError(f"{rpc.name} refuses: {error.message}", "use another RPC") from error
    if answer != bytes.fromhex(deployment.token[2:]).rjust(32, b"\0"):
        raise WrongChainError(
            f"{rpc.name}: the market at {deployment.market} is not paid in the file's token {deployment.token}",
            "ask for the market's own deployment file",
        )
