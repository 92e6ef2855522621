"""What a transaction should pay for gas, from the fees of the latest blocks, and what its replacement must pay."""

from viz_node.chain.rpc import JsonRpc, RpcRefusedError, to_quantity
from viz_node.chain.signing import Fees
from viz_node.errors import ChainUnavailableError

BLOCKS = 5
# The base fee rises by at most an eighth per block: twice the next one lasts for six full blocks.
BASE_FEE_MARGIN = 2
# Nodes take a replacement that offers a tenth more; EIP-1559 clients are asked for an eighth.
RAISE_PERCENT = 1125
_PERMILLE = 1000


def read_fees(rpc: JsonRpc, gas: int) -> Fees:
    """Fees for the next blocks: twice the next base fee, and the median of the tips that were paid.

    Raises: ChainUnavailableError.
    """
    try:
        history = rpc.call("eth_feeHistory", hex(BLOCKS), "latest", [50])
    except RpcRefusedError as error:
        raise ChainUnavailableError(f"the chain does not tell its fees: {error.message}", "use another RPC") from error
    try:
        base_fee = to_quantity(history["baseFeePerGas"][-1])
        tips = sorted(to_quantity(row[0]) for row in history.get("reward") or [])
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise ChainUnavailableError("the chain's answer about its fees is malformed", "use another RPC") from error
    tip = tips[len(tips) // 2] if tips else 0
    return Fees(gas, BASE_FEE_MARGIN * base_fee + max(tip, 1), max(tip, 1))


def raised(before: Fees, market: Fees) -> Fees:
    """Fees that replace a transaction: an eighth more than before, or what the market asks if that is more."""
    max_fee = max(_raise(before.max_fee), market.max_fee)
    return Fees(before.gas, max_fee, min(max_fee, max(_raise(before.priority_fee), market.priority_fee)))


def _raise(price: int) -> int:
    return -(-price * RAISE_PERCENT // _PERMILLE)
