"""An endpoint's refusal becomes an error with the contract's own name."""

import pytest

from viz_node.chain.contract.refusals import translate_refusal
from viz_node.chain.encoding.hashing import keccak
from viz_node.chain.node.rpc import RpcRefusedError
from viz_node.errors import ChainUnavailableError, InsufficientFundsError, TransactionRevertedError


@pytest.mark.parametrize(
    ("refusal", "error", "text"),
    [
        (RpcRefusedError("execution reverted", 3, keccak(b"NothingDue()")[:4]), TransactionRevertedError, "NothingDue"),
        (RpcRefusedError("insufficient funds for gas"), InsufficientFundsError, "gas"),
        (RpcRefusedError("execution reverted: no"), TransactionRevertedError, "no"),
        (RpcRefusedError("limit exceeded", -32005), ChainUnavailableError, "limit exceeded"),
    ],
)
def test_translate_refusal__by_cause__names_it(refusal: RpcRefusedError, error: type[Exception], text: str) -> None:
    translated = translate_refusal(refusal)
    assert type(translated) is error
    assert text in str(translated)
