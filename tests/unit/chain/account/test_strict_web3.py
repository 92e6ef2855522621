"""web3.py behind our transport: what it encodes, what it may ask, and an endpoint that answers it with nonsense."""

import json
import subprocess
import sys
from typing import Any

import pytest

from viz_node.chain.account.library import LazyCall, chain_of, encode_call, encode_creation
from viz_node.chain.account.sending import priced, send, wait_for
from viz_node.chain.account.strict_web3 import MOST_LOGS, StrictProvider
from viz_node.chain.contract.artifact import Artifact, load_artifact
from viz_node.chain.encoding.abi import Type, encode, parse_type
from viz_node.chain.node.rpc import JsonRpc, RpcRefusedError
from viz_node.domain.ids import Account
from viz_node.errors import ChainUnavailableError, DeadlineError, TransactionRevertedError, UsageError

ACCOUNT = Account("0x" + "ab" * 20)
HASH = "0x" + "11" * 32
LOG = {
    "address": ACCOUNT,
    "topics": [HASH],
    "data": "0x",
    "blockNumber": "0x2",
    "blockHash": HASH,
    "transactionHash": HASH,
    "transactionIndex": "0x0",
    "logIndex": "0x0",
}
RECEIPT = {"status": "0x1", "transactionHash": HASH, "blockHash": HASH, "blockNumber": "0x2", "logs": [LOG]}
FUNCTIONS = [(contract, name) for contract in ("Market", "TestToken") for name in load_artifact(contract).functions]


class Endpoint(JsonRpc):
    """Answers of a real endpoint's form by method: a result, or an error object under `error`."""

    def __init__(self, **answers: Any) -> None:
        super().__init__("http://127.0.0.1:1")
        self.answers, self.asked = answers, []

    def _read(self, content: bytes) -> bytes:
        question = json.loads(content)
        self.asked.append(question["method"])
        answer = self.answers[question["method"]]
        told = answer if isinstance(answer, dict) and "error" in answer else {"result": answer}
        return json.dumps({"jsonrpc": "2.0", "id": question["id"], **told}).encode()


def sample(kind: Type) -> Any:
    match kind.name:
        case "address":
            return ACCOUNT
        case "bool":
            return True
        case "bytes32":
            return b"\7" * 32
        case "bytes":
            return b"\1\2\3"
        case "string":
            return "ä text"
        case "list":
            return [sample(kind.parts[0])] * 2
        case "tuple":
            return tuple(sample(part) for part in kind.parts)
    return (1 << int(kind.name.removeprefix("uint"))) - 1


@pytest.mark.parametrize(("contract", "name"), FUNCTIONS)
def test_encode_call__each_function__is_what_our_own_encoder_writes(contract: str, name: str) -> None:
    artifact = load_artifact(contract)
    values = [sample(parse_type(kind)) for kind in artifact.functions[name].inputs]
    assert encode_call(contract, name, values) == artifact.call_data(name, *values)


@pytest.mark.parametrize("contract", ["Market", "TestToken"])
def test_encode_creation__each_contract__is_code_and_what_our_own_encoder_writes(contract: str) -> None:
    artifact: Artifact = load_artifact(contract)
    values = [sample(parse_type(kind)) for kind in artifact.constructor]
    assert encode_creation(contract, values) == artifact.bytecode + encode(artifact.constructor, values)


@pytest.mark.parametrize(
    "values",
    [
        (ACCOUNT, -1),
        (ACCOUNT, 1 << 256),
        (ACCOUNT, "1"),
        (ACCOUNT,),
        ("0xzz", 1),
        ("0x12", 1),
        (None, 1),
        ("name.eth", 1),
    ],
)
def test_encode_call__values_that_do_not_fit__is_the_callers_error(values: tuple[Any, ...]) -> None:
    with pytest.raises(UsageError, match="approve does not take these values") as error:
        encode_call("TestToken", "approve", values)
    assert error.value.hint == "check amounts and accounts"


def test_lazy_call__data__is_encoded_once_when_it_is_read() -> None:
    encoded: list[int] = []
    call = LazyCall(ACCOUNT, "pay", lambda: encoded.append(1) or b"data")
    assert (call.to, call.description, encoded) == (ACCOUNT, "pay", [])
    assert (call.data, call.data, encoded) == (b"data", b"data", [1])


def test_provider__method_that_the_node_does_not_need__is_not_asked() -> None:
    endpoint = Endpoint()
    with pytest.raises(ChainUnavailableError):
        StrictProvider(endpoint).make_request("eth_accounts", [])
    assert endpoint.asked == []


ODD = [None, True, 1, -1, 1.5, "", "0x", "0xzz", "0x1\n", "-0x1", "0x" + "f" * 100_001, [], {}, [[[]]], "latest"]


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: repr(odd)[:20])
def test_questions__answers_of_wrong_types__are_errors_of_the_endpoint(odd: Any) -> None:
    methods = ("eth_chainId", "eth_getBalance", "eth_getTransactionCount", "eth_estimateGas")
    endpoint = Endpoint(**dict.fromkeys(methods, odd), eth_call="0x", eth_sendRawTransaction=odd)
    chain = chain_of(endpoint)
    for ask in (
        chain.chain_id,
        lambda: chain.balance_wei(ACCOUNT),
        lambda: chain.count(ACCOUNT, "pending"),
        lambda: chain.gas_of(ACCOUNT, ACCOUNT, b""),
        lambda: chain.send(b"\1"),
    ):
        with pytest.raises(ChainUnavailableError, match="malformed"):
            ask()


@pytest.mark.parametrize(
    ("field", "odd"),
    # No logs are well-formed.
    [(field, odd) for field in (*RECEIPT, "contractAddress") for odd in ODD[1:] if (field, odd) != ("logs", [])],
    ids=lambda value: repr(value)[:20],
)
def test_find_receipt__field_of_a_wrong_type__is_an_error_of_the_endpoint(field: str, odd: Any) -> None:
    with pytest.raises(ChainUnavailableError):
        chain_of(Endpoint(eth_getTransactionReceipt=RECEIPT | {field: odd})).find_receipt(HASH)


@pytest.mark.parametrize(
    ("field", "odd"),
    # No data and no topics are well-formed.
    [(field, odd) for field in LOG for odd in ODD if (field, odd) not in (("data", "0x"), ("topics", []))],
    ids=lambda value: repr(value)[:20],
)
def test_find_receipt__log_with_a_field_of_a_wrong_type__is_an_error_of_the_endpoint(field: str, odd: Any) -> None:
    with pytest.raises(ChainUnavailableError, match="malformed"):
        chain_of(Endpoint(eth_getTransactionReceipt=RECEIPT | {"logs": [LOG | {field: odd}]})).find_receipt(HASH)


@pytest.mark.parametrize("field", ["transactionHash", "blockHash", "blockNumber", "logs", "status"])
def test_find_receipt__missing_field__is_an_error_of_the_endpoint(field: str) -> None:
    told = {name: value for name, value in RECEIPT.items() if name != field}
    with pytest.raises(ChainUnavailableError):
        chain_of(Endpoint(eth_getTransactionReceipt=told)).find_receipt(HASH)


@pytest.mark.parametrize(
    "change", [{"transactionHash": "0x" + "22" * 32}, {"status": "0x2"}, {"logs": [LOG] * (MOST_LOGS + 1)}]
)
def test_find_receipt__of_another_transaction_or_without_end__is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ChainUnavailableError):
        chain_of(Endpoint(eth_getTransactionReceipt=RECEIPT | change)).find_receipt(HASH)


def test_find_receipt__well_formed__is_read_and_a_pending_one_is_none() -> None:
    receipt = chain_of(Endpoint(eth_getTransactionReceipt=RECEIPT)).find_receipt(HASH)
    assert receipt is not None
    assert (receipt["status"], receipt["blockNumber"], len(receipt["logs"])) == (1, 2, 1)
    for told in (None, RECEIPT | {"blockHash": None, "blockNumber": None}):
        assert chain_of(Endpoint(eth_getTransactionReceipt=told)).find_receipt(HASH) is None


def test_wait_for__no_receipt_in_time__says_what_to_do() -> None:
    with pytest.raises(DeadlineError, match="in no block"):
        wait_for(Endpoint(eth_getTransactionReceipt=None), HASH, 0.01)


def refused(message: str, data: str = "0x") -> dict[str, Any]:
    return {"error": {"code": 3, "message": message, "data": data}}


def test_priced__revert__is_the_contracts_own_error() -> None:
    selector = next(key for key, (name, _) in load_artifact("Market").errors.items() if name == "SalesPaused")
    with pytest.raises(TransactionRevertedError, match="SalesPaused"):
        priced(Endpoint(eth_call=refused("execution reverted", "0x" + selector.hex())), ACCOUNT, ACCOUNT, b"")


def test_priced__contract_that_names_addresses_to_ask__is_refused_and_nobody_is_asked() -> None:
    # OffchainLookup(address,string[],bytes,bytes4,bytes): web3.py would connect to what the contract says.
    kinds = ("address", "string[]", "bytes", "bytes32", "bytes")
    values = (ACCOUNT, ["http://127.0.0.1:1/{sender}/{data}"], b"", b"\0" * 32, b"")
    endpoint = Endpoint(eth_call=refused("execution reverted", "0x556f1830" + encode(kinds, values).hex()))
    with pytest.raises(TransactionRevertedError):
        priced(endpoint, ACCOUNT, ACCOUNT, b"")
    assert endpoint.asked == ["eth_call"]


@pytest.mark.parametrize("error", [None, 5, "no", [], {}, {"code": [], "message": {}, "data": 7}, {"data": "0xzz"}])
def test_priced__error_objects_of_wrong_types__are_errors_of_ours(error: Any) -> None:
    with pytest.raises((ChainUnavailableError, TransactionRevertedError)):
        priced(Endpoint(eth_call={"error": error}), ACCOUNT, ACCOUNT, b"")


def test_send__what_the_chain_knows_already__is_fine_and_another_refusal_is_told() -> None:
    send(Endpoint(eth_sendRawTransaction=refused("already known")), b"\1")
    with pytest.raises(ChainUnavailableError, match="pool is full"):
        send(Endpoint(eth_sendRawTransaction=refused("pool is full")), b"\1")


def test_count__refusal__is_told_with_a_next_step() -> None:
    with pytest.raises(ChainUnavailableError, match="does not tell a nonce: execution reverted") as error:
        chain_of(Endpoint(eth_getTransactionCount=refused("execution reverted"))).count(ACCOUNT, "latest")
    assert error.value.hint


def test_fees__refusal__passes_through_the_library_as_it_is() -> None:
    with pytest.raises(RpcRefusedError, match="no such method"):
        chain_of(Endpoint(eth_feeHistory=refused("no such method"))).fees(5)


def test_node__before_its_first_transaction__has_not_loaded_web3() -> None:
    program = "import sys, viz_node.daemon.build\nprint('web3' in sys.modules, 'eth_abi' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split()[0] == "False"
