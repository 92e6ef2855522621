"""An account whose key lies in another program: Anvil itself, and a small signer over HTTP that may lie."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account as EthAccount
from eth_account.messages import encode_defunct, encode_typed_data

from tests.anvil_market import ANVIL, AnvilMarket
from viz_node.chain.account.remote_signer import RemoteSigner
from viz_node.chain.account.signing import Fees, KeySigner, transaction_fields
from viz_node.chain.account.transactions import TransactionSender
from viz_node.chain.development.anvil import adopt_or_start, stop_anvil
from viz_node.chain.development.faucet import fund
from viz_node.chain.node.rpc import to_bytes
from viz_node.daemon.config import Config
from viz_node.daemon.secrets import Sealing
from viz_node.daemon.signers import make_signer, with_account
from viz_node.domain.ids import Account, TokenAmount
from viz_node.domain.transaction import TypedData
from viz_node.errors import RefusedError, UnreachableError, UsageError, VerificationError
from viz_node.identity.keystore import new_keys

KEY, OTHER_KEY = b"\x11" * 32, b"\x22" * 32
ACCOUNT = KeySigner(KEY).account
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
FIELDS = transaction_fields(31337, 7, "0x" + "ab" * 20, b"\x01\x02", Fees(21_000, 30, 2))
TYPED = TypedData(
    {
        "EIP712Domain": [("name", "string"), ("chainId", "uint256")],
        "Voucher": [("channel", "bytes32"), ("cumulative", "uint256")],
    },
    "Voucher",
    {"name": "viz-node", "chainId": 31337},
    {"channel": b"\x05" * 32, "cumulative": 2**60 + 1},
)
Answers = dict[str, Callable[[list[Any]], Any]]


def sign_transaction(params: list[Any], key: bytes = KEY, **changed: Any) -> str:
    fields = {
        name: int(value, 16) for name, value in params[0].items() if name not in ("from", "to", "data", "accessList")
    }
    fields |= {name: params[0][name] for name in ("data", "accessList")}
    fields["to"] = to_bytes(params[0]["to"])
    return "0x" + bytes(EthAccount.sign_transaction(fields | changed, key).raw_transaction).hex()


def sign_text(params: list[Any], key: bytes = KEY) -> str:
    return "0x" + bytes(EthAccount.sign_message(encode_defunct(hexstr=params[1]), key).signature).hex()


def sign_typed(params: list[Any], key: bytes = KEY) -> str:
    return "0x" + bytes(EthAccount.sign_message(encode_typed_data(full_message=params[1]), key).signature).hex()


def honest() -> Answers:
    return {"eth_signTransaction": sign_transaction, "eth_sign": sign_text, "eth_signTypedData_v4": sign_typed}


class Service(ThreadingHTTPServer):
    """A signer on loopback; `answers` may be changed while it runs."""

    answers: Answers

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    """One JSON-RPC request."""

    def do_POST(self) -> None:
        """Sign, or refuse."""
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert isinstance(self.server, Service)
        answer = self.server.answers.get(request["method"])
        body: dict[str, Any] = {"jsonrpc": "2.0", "id": request["id"]}
        if answer is None:
            body["error"] = {"code": -32601, "message": "no such method"}
        else:
            try:
                body["result"] = answer(request["params"])
            except PermissionError as error:
                body["error"] = {"code": -32000, "message": str(error)}
        raw = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


@pytest.fixture
def service() -> Iterator[Service]:
    server = Service(("127.0.0.1", 0), Handler)
    server.answers = honest()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def signer(service: Service) -> Iterator[RemoteSigner]:
    remote = RemoteSigner(service.url, ACCOUNT, 5)
    yield remote
    remote.close()


def test_sign__honest_signer__same_as_the_key_itself(signer: RemoteSigner, service: Service) -> None:
    own = KeySigner(KEY)
    assert signer.sign_transaction(FIELDS) == own.sign_transaction(FIELDS)
    assert signer.sign_typed_data(TYPED) == own.sign_typed_data(TYPED)
    assert EthAccount.recover_message(encode_defunct(text="hi"), signature=signer.sign_text("hi")).lower() == ACCOUNT
    service.answers["eth_signTypedData"] = service.answers.pop("eth_signTypedData_v4")
    assert signer.sign_typed_data(TYPED) == own.sign_typed_data(TYPED)
    service.answers["eth_signTransaction"] = lambda params: {"raw": sign_transaction(params), "tx": {}}
    assert signer.sign_transaction(FIELDS) == own.sign_transaction(FIELDS)


@pytest.mark.parametrize(
    "changed",
    [
        {"nonce": 8}, {"value": 1}, {"to": b"\xcd" * 20}, {"data": "0x0103"}, {"gas": 21_001}, {"chainId": 1},
        {"maxFeePerGas": 31}, {"maxPriorityFeePerGas": 1},
        {"accessList": [{"address": "0x" + "cd" * 20, "storageKeys": []}]},
    ],
    ids=str,
)  # fmt: skip
def test_sign_transaction__another_field__refused(
    signer: RemoteSigner, service: Service, changed: dict[str, Any]
) -> None:
    service.answers["eth_signTransaction"] = lambda params: sign_transaction(params, **changed)
    with pytest.raises(VerificationError, match="another transaction"):
        signer.sign_transaction(FIELDS)


def test_sign__with_another_key__names_the_account(signer: RemoteSigner, service: Service) -> None:
    service.answers = {
        "eth_signTransaction": lambda params: sign_transaction(params, OTHER_KEY),
        "eth_sign": lambda params: sign_text(params, OTHER_KEY),
        "eth_signTypedData_v4": lambda params: sign_typed(params, OTHER_KEY),
    }
    for ask in (
        lambda: signer.sign_transaction(FIELDS),
        lambda: signer.sign_text("x"),
        lambda: signer.sign_typed_data(TYPED),
    ):
        with pytest.raises(VerificationError, match=KeySigner(OTHER_KEY).account):
            ask()


def high_s(signature: str) -> str:
    raw = to_bytes(signature)
    s = ORDER - int.from_bytes(raw[32:64], "big")
    return "0x" + (raw[:32] + s.to_bytes(32, "big") + bytes([55 - raw[64]])).hex()


def test_sign_text__high_s__refused(signer: RemoteSigner, service: Service) -> None:
    service.answers["eth_sign"] = lambda params: high_s(sign_text(params))
    with pytest.raises(VerificationError, match="high s"):
        signer.sign_text("x")


@pytest.mark.parametrize(
    "answer", [None, 1, "", "0x", "0xzz", "0x02c0", "0x" + "00" * 65, {"raw": 5}, [], "0x" + "ff" * 300_000]
)
def test_sign__nonsense__refused(signer: RemoteSigner, service: Service, answer: Any) -> None:
    service.answers = dict.fromkeys(honest(), lambda _params: answer)
    for ask in (
        lambda: signer.sign_transaction(FIELDS),
        lambda: signer.sign_text("x"),
        lambda: signer.sign_typed_data(TYPED),
    ):
        with pytest.raises(VerificationError):
            ask()


def test_sign__signer_refuses_or_is_down__said_with_the_next_step(signer: RemoteSigner, service: Service) -> None:
    def refuse(_params: list[Any]) -> Any:
        raise PermissionError("above the limit")

    service.answers["eth_signTransaction"] = refuse
    with pytest.raises(RefusedError, match="above the limit"):
        signer.sign_transaction(FIELDS)
    down = RemoteSigner("http://me:hush@127.0.0.1:1/hush", ACCOUNT, 1)
    with pytest.raises(UnreachableError, match="does not answer") as caught:
        down.check()
    assert "signer_url" in caught.value.hint
    assert "hush" not in caught.value.message


def test_with_account__signer_configured__its_account_and_no_key_in_the_process(
    service: Service, tmp_path: Path
) -> None:
    own = new_keys()
    config = Config(tmp_path, signer_url=service.url, signer_account=ACCOUNT)
    keys = with_account(config, own)
    assert (keys.account, keys.account_key, keys.peer_id) == (ACCOUNT, b"", own.peer_id)
    sealing = Sealing(keys, make_signer(config, keys).sign_text)
    assert sealing.recover_account("hi", sealing.sign_as_account("hi")) == ACCOUNT
    assert make_signer(config, keys).sign_transaction(FIELDS) == KeySigner(KEY).sign_transaction(FIELDS)
    service.answers["eth_sign"] = lambda params: sign_text(params, OTHER_KEY)
    with pytest.raises(VerificationError, match="not as 0x"):
        with_account(config, own)
    with pytest.raises(UsageError, match="signer_account"):
        with_account(Config(tmp_path, signer_url=service.url), own)
    assert with_account(Config(tmp_path), own) is own


def test_transaction__signed_by_anvil__is_mined(tmp_path: Path) -> None:
    rpc_url = adopt_or_start(tmp_path, ANVIL).rpc_url
    try:
        market = AnvilMarket(rpc_url)
        account = Account(str(market.ask("eth_accounts")[0]).lower())
        fund(rpc_url, market.deployment, account, 10**6)
        remote = RemoteSigner(rpc_url, account)
        remote.check()
        sender = TransactionSender(rpc_url, market.deployment, remote)
        before, nonce = int(market.ask("eth_getBalance", account, "latest"), 16), sender.next_nonce()
        quoted = sender.quote_wei(market.gateway.prepare_approve(TokenAmount(5)))
        assert sender.next_nonce() == nonce
        market.approve(sender, TokenAmount(5))
        assert 0 < before - int(market.ask("eth_getBalance", account, "latest"), 16) <= quoted
        assert len(remote.sign_typed_data(TYPED)) == 65
    finally:
        stop_anvil(tmp_path)
