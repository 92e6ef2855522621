"""Whether a deployment file tells the truth about a market: each statement held against an endpoint."""

from collections.abc import Iterator

from viz_node.chain.contract.artifact import load_artifact
from viz_node.chain.contract.requirements import read_token
from viz_node.chain.node.endpoints import verify_endpoint
from viz_node.chain.node.rpc import JsonRpc, RpcRefusedError, ask, to_bytes, to_hex, to_int
from viz_node.domain.deployment import Deployment
from viz_node.domain.health import Check, failed, warned, well
from viz_node.domain.ids import Account
from viz_node.errors import ChainUnavailableError, RefusedError, WrongChainError

FINAL_TAGS = ("safe", "finalized")
_TERMS = ("platform", "platformFee", "closeWindow", "deliveryWindow", "disputeWindow", "vetoWindow", "steward")


def check_deployment(rpc: JsonRpc, deployment: Deployment) -> list[Check]:
    """Every statement of the file, in the order of what depends on what. Raises: ChainUnavailableError."""
    name = "chain, code and token"
    try:
        verify_endpoint(rpc, deployment)
    except WrongChainError as error:
        return [failed(name, error.message, error.hint)]
    place = well(name, f"chain {deployment.chain_id}, market {deployment.market}")
    rest = _version(rpc, deployment.market), _token(rpc, deployment.token), _first_block(rpc, deployment)
    return [place, *rest, *_finality(rpc, deployment.block)]


def market_terms(rpc: JsonRpc, market: Account) -> dict[str, int | str]:
    """What was fixed when the market was deployed, and its steward. Raises: ChainUnavailableError."""
    return {name: _view(rpc, market, name) for name in _TERMS}


def _version(rpc: JsonRpc, market: Account) -> Check:
    """The file's digest is of the market's code; this says whether that is the code which this node knows."""
    is_ours = load_artifact("Market").is_code(_code(rpc, market))
    if is_ours and load_artifact("Annex").is_code(_code(rpc, str(_view(rpc, market, "annex")))):
        return well("version", "market and annex have the code of this version of viz-node")
    detail = "market or annex have other code than this version of viz-node"
    return failed("version", detail, "use the version that the market was deployed with")


def _token(rpc: JsonRpc, account: Account) -> Check:
    try:
        token = read_token(rpc, account)
    except RefusedError as error:
        return failed("payment token", error.message, "nodes cannot pay on this market")
    return well("payment token", token.describe())


def _first_block(rpc: JsonRpc, deployment: Deployment) -> Check:
    """Nobody would see the entries before the first block that the file names."""
    name, block = "first block", deployment.block
    try:
        before = _code(rpc, deployment.market, hex(block - 1)) if block else b""
    except ChainUnavailableError:
        return warned(name, f"the endpoint keeps no state of block {block - 1}", "ask an archive node")
    if before:
        detail = f"the market is older than block {block}"
        return failed(name, detail, "ask the file's publisher for a new one")
    return well(name, f"no market before block {block}")


def _finality(rpc: JsonRpc, block: int) -> Iterator[Check]:
    """What the chain itself says of the market's block."""
    for tag in FINAL_TAGS:
        try:
            head = rpc.call("eth_getBlockByNumber", tag, False)
        except RpcRefusedError:
            head = None
        if not isinstance(head, dict):
            fix = "set show_at and book_at to numbers of blocks in config.toml"
            yield warned(tag, f"the endpoint does not tell the chain's {tag} block", fix)
        elif to_int(head.get("number")) < block:
            yield warned(tag, f"block {block} is not {tag} yet", "check again later")
        else:
            yield well(tag, f"block {block} is {tag}")


def _code(rpc: JsonRpc, account: str, block: str = "latest") -> bytes:
    return to_bytes(ask(rpc, "eth_getCode", account, block))


def _view(rpc: JsonRpc, market: str, name: str) -> int | str:
    artifact = load_artifact("Market")
    answer = ask(rpc, "eth_call", {"to": market, "data": to_hex(artifact.call_data(name))}, "latest")
    try:
        (value,) = artifact.outputs_of(name, to_bytes(answer))
    except ValueError as error:
        raise ChainUnavailableError(f"the chain's answer to {name} is malformed: {error}", "use another RPC") from error
    assert isinstance(value, int | str)
    return value
