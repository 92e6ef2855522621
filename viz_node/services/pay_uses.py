"""The payer's side of metered use: open a channel, ask with a voucher per use, keep the receipts, take the rest back.

The next voucher follows from what is kept (uses, receipts and the sealed session key), so that after a crash the same
voucher is sent again, never another for the same use. `tests/integration/test_metered_use.py`.
"""

import asyncio
import secrets
from dataclasses import asdict
from typing import Any

from viz_node.domain.ids import TokenAmount, format_amount, format_coin
from viz_node.domain.job import Job
from viz_node.domain.manifest import AdapterManifest
from viz_node.domain.purchase import NewChannel
from viz_node.domain.terms import DAY_SECONDS
from viz_node.domain.usage import RECEIPT_CONTEXT, UsageTree, UseAnswer, UseRequest, Voucher, parse_use_answer
from viz_node.errors import LicenseRequiredError, NotFoundError, RefusedError, UsageError, VerificationError
from viz_node.ports import Channel, VerifyBytes, VoucherSigning
from viz_node.services.catalogue import Listing
from viz_node.services.jobs import Report
from viz_node.services.serve_uses import USE_METHOD
from viz_node.services.trade import Trade

PAID = "pay:"
_ANSWER_SECONDS = 125.0
_MOST_ASKED = 8


class Metered:
    """Channels that this node pays for, and uses through them."""

    def __init__(self, trade: Trade, vouchers: VoucherSigning, verify: VerifyBytes) -> None:
        self._trade = trade
        self._vouchers = vouchers
        self._verify = verify

    async def check_open(self, adapter: str, deposit: TokenAmount) -> Listing:
        """The listing for which a channel may be opened. Raises: RefusedError, UsageError, NotFoundError."""
        listing = await self._trade.catalogue.listing(adapter)
        offer, name = listing.offer, listing.manifest.name
        if not offer.is_metered:
            raise RefusedError(f"{name} is not paid per use", f"viz-node license {name} --max-price 6.00")
        if not offer.is_open:
            raise RefusedError(f"{name} is not sold any more", "viz-node search")
        if deposit < offer.price:
            price = format_amount(offer.price)
            raise UsageError(f"one use of {name} costs {price}", f"viz-node channel open {name} --deposit {price}")
        return listing

    async def plan_open(self, adapter: str, deposit: TokenAmount) -> list[dict[str, Any]]:
        """What a channel costs and means. Raises: as `check_open`."""
        listing = await self.check_open(adapter, deposit)
        approval = self._trade.market.prepare_approve(deposit)
        gas = 4 * await self._trade.treasury.quote_wei(approval)  # with the opening, which cannot be simulated before
        uses, name = deposit // listing.offer.price, listing.manifest.name
        consequence = f"{uses} uses at {format_amount(listing.offer.price)}; what is not used comes back"
        row = {"what": f"deposit for {name}", "amount": format_amount(deposit), "gas": format_coin(gas)}
        return [row | {"consequence": consequence}]

    async def open(self, job: Job, report: Report) -> dict[str, Any]:
        """Job: lock the deposit; the session key is kept before anything is signed."""
        key = f"{PAID}{job.job_id}"
        body = self._trade.store.channels_with(key).get(key) or await self._begin(key, job)
        report({"phase": "approve", "step": 1, "steps": 2})
        deposit = TokenAmount(int(job.order["deposit"]))
        order_id = f"channel:{job.job_id}"
        if await self._trade.treasury.finish(order_id) is None:
            await self._allow(job, deposit)
        report({"phase": "open", "step": 2, "steps": 2})
        wanted = NewChannel(
            offer_id=body["offer_id"],
            session_account=body["session"],
            deposit=deposit,
            lifetime_seconds=int(job.order["days"]) * DAY_SECONDS,
            max_price=TokenAmount(body["price"]),
        )
        detail = {"kind": "channel", "adapter": body["adapter_id"], "job": job.job_id}
        call = self._trade.market.prepare_open_channel
        tx_hash = await self._trade.treasury.execute(order_id, lambda: call(wanted), detail)
        channel = await self._number(key, body)
        return {"channel": channel, "deposit": format_amount(deposit), "tx_hash": tx_hash}

    async def _begin(self, key: str, job: Job) -> dict[str, Any]:
        listing = await self.check_open(str(job.order["adapter"]), TokenAmount(int(job.order["deposit"])))
        session_key = self._trade.sealing.new_key()
        body: dict[str, Any] = {
            "number": None,
            "adapter_id": listing.adapter_id,
            "offer_id": listing.offer.offer_id,
            "price": listing.offer.price,
            "session": self._vouchers.session_account(session_key),
            "key": self._trade.sealing.seal(session_key).hex(),
            "uses": 0,
            "tree": [],
            "asked": [],
        }
        self._trade.store.save_channel(key, body)
        return body

    async def _number(self, key: str, body: dict[str, Any]) -> int:
        channels = await asyncio.to_thread(self._trade.market.channels_of, self._trade.keys.account)
        number = next((item.number for item in channels if item.session_account == body["session"]), None)
        if number is None:
            raise NotFoundError("the channel is not on the chain any more", "viz-node channel list")
        body["number"] = number
        self._trade.store.save_channel(key, body)
        return number

    async def top_up(self, job: Job, report: Report) -> dict[str, Any]:
        """Job: add to a deposit."""
        number, amount = int(job.order["channel"]), TokenAmount(int(job.order["amount"]))
        self._find(number)
        report({"phase": "top up", "step": 1, "steps": 1})
        order_id = f"top-up:{job.job_id}"
        if await self._trade.treasury.finish(order_id) is None:
            await self._allow(job, amount)
        call = self._trade.market.prepare_top_up
        detail = {"kind": "top-up", "channel": number, "job": job.job_id}
        tx_hash = await self._trade.treasury.execute(order_id, lambda: call(number, amount), detail)
        return {"channel": number, "added": format_amount(amount), "tx_hash": tx_hash}

    async def close(self, job: Job, report: Report) -> dict[str, Any]:
        """Job: ask for the close; `watch` takes the rest back when the holder has had his time."""
        number = int(job.order["channel"])
        self._find(number)
        report({"phase": "ask", "step": 1, "steps": 1})
        channel = await asyncio.to_thread(self._trade.market.channel, number)
        left = channel.close_at - await asyncio.to_thread(self._trade.market.block_time)
        tx_hash = None
        if left > (await asyncio.to_thread(self._trade.market.facts)).close_window_seconds:
            detail = {"kind": "ask-close", "channel": number, "job": job.job_id}
            call = self._trade.market.prepare_ask_close
            tx_hash = await self._trade.treasury.execute(f"ask-close:{job.job_id}", lambda: call(number), detail)
            channel = await asyncio.to_thread(self._trade.market.channel, number)
        return {"channel": number, "close_at": channel.close_at, "tx_hash": tx_hash}

    async def use(self, job: Job, report: Report) -> dict[str, Any]:
        """Job: have the holder's node write on from a prompt, for the price of one use."""
        order = job.order
        listing = await self._trade.catalogue.listing(str(order["adapter"]))
        key, body = self._channel_for(listing)
        report({"phase": "ask", "step": 1, "steps": 1})
        while True:
            number, uses = int(body["number"]), int(body["uses"]) + 1
            request = UseRequest(listing.adapter_id, number, uses, str(order["prompt"]), int(order["max_new_tokens"]))
            answer = await self._ask(key, body, request, listing.manifest)
            # Else it is the answer to an earlier question under the same voucher, which was lost on its way.
            if answer.receipt.request == request.digest():
                paid = format_amount(int(body["price"]))
                return {"text": answer.text, "adapter": listing.manifest.name, "channel": number, "paid": paid}

    async def _ask(self, key: str, body: dict[str, Any], request: UseRequest, manifest: AdapterManifest) -> UseAnswer:
        """Send the next voucher with the request, and keep the receipt of what it paid for."""
        channel = await asyncio.to_thread(self._trade.market.channel, request.channel)
        cumulative = request.uses * channel.price
        if channel.price != body["price"] or cumulative > channel.deposit:
            top_up = f"viz-node channel top-up {channel.number} 1.00"
            raise LicenseRequiredError(f"the deposit of channel {channel.number} is used up", top_up)
        tree = UsageTree(body["tree"])
        voucher = Voucher(request.channel, cumulative, request.uses, tree.root())
        signature = self._vouchers.sign(self._trade.sealing.open(bytes.fromhex(body["key"])), voucher)
        if request.digest() not in body["asked"]:
            body["asked"] = [*body["asked"], request.digest()][-_MOST_ASKED:]
            self._trade.store.save_channel(key, body)
        raw = await self._trade.network.request(
            manifest.peer_id, USE_METHOD, request.to_bytes(signature), timeout_seconds=_ANSWER_SECONDS
        )
        answer = parse_use_answer(raw)
        self._check(answer, request, body["asked"], manifest)
        tree.append(answer.receipt)
        body |= {"uses": request.uses, "tree": tree.state, "asked": []}
        self._trade.store.save_channel(key, body, asdict(answer.receipt) | {"signature": answer.signature.hex()})
        return answer

    def _check(self, answer: UseAnswer, request: UseRequest, asked: list[str], manifest: AdapterManifest) -> None:
        receipt = answer.receipt
        said = receipt.market, receipt.channel, receipt.uses, receipt.adapter_id
        if said != (self._vouchers.domain.hex(), request.channel, request.uses, request.adapter_id):
            raise VerificationError("the holder's receipt is for another use")
        if receipt.request not in asked:
            raise VerificationError("the holder's receipt is for something that was not asked")
        self._verify(manifest.peer_id, RECEIPT_CONTEXT + receipt.payload(), answer.signature)

    def _channel_for(self, listing: Listing) -> tuple[str, dict[str, Any]]:
        for key, body in self._trade.store.channels_with(PAID).items():
            if body["adapter_id"] == listing.adapter_id and body["number"] and not body.get("closed"):
                return key, body
        name = listing.manifest.name
        raise LicenseRequiredError(f"no channel for {name} is open", f"viz-node channel open {name} --deposit 2.00")

    async def rows(self) -> list[dict[str, Any]]:
        """The channels of this node, as people see them."""
        bodies = self._trade.store.channels_with(PAID).values()
        opened = await asyncio.to_thread(self._trade.market.channels_of, self._trade.keys.account)
        by_session = {channel.session_account: channel for channel in opened}
        return [_row(body, by_session.get(body["session"])) for body in bodies]

    async def show(self, number: int) -> dict[str, Any]:
        """One channel with its receipts. Raises: NotFoundError."""
        key, body = self._find(number)
        row = next(row for row in await self.rows() if row["session"] == body["session"])
        return row | {"receipts": self._trade.store.receipts_of(key)}

    def _find(self, number: int) -> tuple[str, dict[str, Any]]:
        for key, body in self._trade.store.channels_with(PAID).items():
            if body["number"] == number:
                return key, body
        raise NotFoundError(f"this node has no channel {number}", "viz-node channel list")

    async def watch(self) -> None:
        """Take back the rest of channels whose time is over. Raises: as a transaction does."""
        for key, body in self._trade.store.channels_with(PAID).items():
            if not body["number"] or body.get("closed"):
                continue
            number = int(body["number"])
            try:
                channel = await asyncio.to_thread(self._trade.market.channel, number)
            except NotFoundError:  # anyone may close
                self._trade.store.save_channel(key, body | {"closed": True})
                continue
            if await asyncio.to_thread(self._trade.market.block_time) >= channel.close_at:
                await self._take_back(number)

    async def _take_back(self, number: int) -> None:
        call = self._trade.market.prepare_close_channel
        detail = {"kind": "close", "channel": number}
        await self._trade.treasury.execute(f"close:{number}", lambda: call(number), detail)

    async def _allow(self, job: Job, amount: TokenAmount) -> None:
        market = self._trade.market
        if await asyncio.to_thread(market.allowance, self._trade.keys.account) < amount:
            order_id = f"approve:{job.job_id}:{secrets.token_hex(4)}"
            detail = {"kind": "approve", "job": job.job_id}
            await self._trade.treasury.execute(order_id, lambda: market.prepare_approve(amount), detail)


def _row(body: dict[str, Any], channel: Channel | None) -> dict[str, Any]:
    row = {"channel": body["number"], "adapter_id": body["adapter_id"], "price": format_amount(body["price"])}
    row |= {"uses": body["uses"], "spent": format_amount(body["uses"] * body["price"]), "session": body["session"]}
    if channel is None:
        return row | {"deposit": "0.00", "close_at": None, "state": "closed" if body["number"] else "opening"}
    return row | {"deposit": format_amount(channel.deposit), "close_at": channel.close_at, "state": "open"}
