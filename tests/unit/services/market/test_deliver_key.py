"""The key of an adapter goes to the licensed account that asks, at the peer that it names, and to nobody else."""

import json
from pathlib import Path

import pytest

from tests.fakes.world import Member, World
from viz_node.daemon.secrets import Sealing
from viz_node.domain.ids import Account, PeerId
from viz_node.domain.signing import text_digest
from viz_node.errors import LicenseRequiredError, NotFoundError, RefusedError, VerificationError
from viz_node.services.market.check_signature import MAX_SIGNATURE_BYTES
from viz_node.services.market.deliver_key import KEY_METHOD, KeyRequest, parse_key_request

NOW = 1_000


class Sale:
    """A licensed peer and its request, which the tests change."""

    def __init__(self, holder: Member, peer: Member, adapter_id: str) -> None:
        self.holder, self.peer = holder, peer
        self.sealing = Sealing(peer.keys)
        self.fields = {
            "adapter_id": adapter_id,
            "account": peer.keys.account,
            "delivery_key": self.sealing.delivery_public().hex(),
            "peer_id": peer.keys.peer_id,
            "expires": peer.now + 60,
        }

    async def ask(self, sender: PeerId | None = None, signer: Member | None = None, **changes: object) -> bytes:
        request = KeyRequest(**(self.fields | changes))
        signature = Sealing((signer or self.peer).keys).sign_as_account(request.text())
        payload = json.dumps(vars(request) | {"signature": signature}).encode()
        handler = self.holder.network.handlers[KEY_METHOD]
        reply = await handler(sender or self.peer.keys.peer_id, payload)
        return self.sealing.unwrap_key(bytes.fromhex(json.loads(reply)["wrapped"]), request.text().encode())


@pytest.fixture
async def sale(tmp_path: Path) -> Sale:
    world = World(tmp_path)
    holder, peer = world.node("holder"), world.node("peer", 10_000_000)
    adapter_id = await holder.sell("elsin")
    peer.hear()
    await peer.live(("license", {"adapter": adapter_id, "max_price": 5_000_000}))
    return Sale(holder, peer, adapter_id)


async def test_on_key__licensee__gets_the_key(sale: Sale) -> None:
    key = await sale.ask()
    sealed = sale.holder.store.adapters.find_adapter("elsin").sealed_key
    assert sealed is not None
    assert Sealing(sale.holder.keys).open(bytes.fromhex(sealed)) == key


async def test_on_key__anyone_else__gets_nothing(sale: Sale) -> None:
    thief = sale.holder.world.node("thief")
    with pytest.raises(VerificationError, match="another peer"):
        await sale.ask(sender=thief.keys.peer_id)
    with pytest.raises(VerificationError, match="not signed by the account"):
        await sale.ask(signer=thief)
    with pytest.raises(LicenseRequiredError):
        await sale.ask(signer=thief, account=thief.keys.account)
    with pytest.raises(NotFoundError):
        await sale.ask(adapter_id="00" * 32)
    with pytest.raises(VerificationError, match="expired"):
        await sale.ask(expires=sale.peer.now - 61)


async def test_on_key__license_of_a_contract__the_contract_says_what_it_signed(sale: Sale) -> None:
    chain, wallet = sale.holder.world.chain, Account("0x" + "5a" * 20)
    with pytest.raises(VerificationError, match="not signed by the account"):
        await sale.ask(account=wallet)
    request = KeyRequest(**(sale.fields | {"account": wallet}))
    signature = sale.sealing.sign_as_account(request.text())
    chain.wallet_signatures.add((wallet, text_digest(request.text()), bytes.fromhex(signature[2:])))
    with pytest.raises(LicenseRequiredError):
        await sale.ask(account=wallet)
    offer = next(offer for offer, _ in chain.state.licenses)
    chain.state.licenses[offer, wallet] = chain.state.licenses[offer, sale.peer.keys.account]
    chain.state.granted[offer, wallet] = chain.state.granted[offer, sale.peer.keys.account]
    assert await sale.ask(account=wallet)
    with pytest.raises(VerificationError, match="not signed by the account"):
        await sale.ask(account=wallet, expires=sale.peer.now + 61)


@pytest.mark.parametrize("signature", ["", "0x", "zz", "0x" + "00" * (MAX_SIGNATURE_BYTES + 1), "0x" + "00" * 64])
def test_is_signed__no_signature__is_nobodys_and_asks_no_contract(sale: Sale, signature: str) -> None:
    signatures = sale.holder.key_desk._signatures
    assert not signatures.is_signed(Account("0x" + "5a" * 20), "text", signature)


async def test_on_key__payment_is_not_safe_yet__waits_for_its_block(sale: Sale) -> None:
    sale.holder.confirm_after(3)
    for _ in range(3):
        with pytest.raises(RefusedError, match="not safe yet"):
            await sale.ask()
        sale.holder.world.chain.mine()
    assert await sale.ask()


async def test_on_key__license_has_ended_on_the_chain__is_refused(tmp_path: Path) -> None:
    world = World(tmp_path)
    holder, peer = world.node("holder"), world.node("peer", 10_000_000)
    adapter_id = await holder.sell("elsin", kind="subscription")
    peer.hear()
    await peer.live(("license", {"adapter": adapter_id, "max_price": 5_000_000}))
    sale = Sale(holder, peer, adapter_id)
    assert await sale.ask()
    world.chain.time += 30 * 86_400 + 2
    with pytest.raises(LicenseRequiredError):
        await sale.ask()


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[]",
        b"{}",
        b"[" * 5000,
        b'{"signature": "0x", "extra": 1}',
        json.dumps({"adapter_id": "a", "account": "0x1", "delivery_key": "00" * 32, "peer_id": "p", "expires": NOW,
                    "signature": ""}).encode(),
        json.dumps({"adapter_id": "a", "account": "0x" + "1" * 40, "delivery_key": "00" * 31, "peer_id": "p",
                    "expires": NOW, "signature": ""}).encode(),
        json.dumps({"adapter_id": "a", "account": "0x" + "1" * 40, "delivery_key": "00" * 32, "peer_id": "p",
                    "expires": NOW + 301, "signature": ""}).encode(),
        json.dumps({"adapter_id": "a" * 5000, "account": "0x" + "1" * 40, "delivery_key": "00" * 32, "peer_id": "p",
                    "expires": NOW, "signature": ""}).encode(),
    ],
)  # fmt: skip
def test_parse_key_request__hostile__is_a_verification_error(payload: bytes) -> None:
    with pytest.raises(VerificationError):
        parse_key_request(payload, NOW)
