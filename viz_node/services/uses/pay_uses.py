"""The payer's side of metered use: open a channel, ask with a voucher per use, keep the receipts, take the rest back.

The next voucher follows from what is kept (uses, receipts and the sealed session key), so that after a crash the same
voucher is sent again, never another for the same use. Which job asks what is noted before it is asked. The holder
answers one question per voucher; when that is an earlier job's, whose answer was lost on its way, the answer is kept
for that job, sealed, in the same step as its receipt. No answer that is paid for is lost.
`tests/unit/services/uses/test_uses.py`.
"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from viz_node.domain.channel import Channel
from viz_node.domain.ids import Account, TokenAmount, format_amount
from viz_node.domain.job import Job, JobState
from viz_node.domain.manifest import AdapterManifest
from viz_node.domain.purchase import NewChannel
from viz_node.domain.terms import DAY_SECONDS
from viz_node.domain.usage import RECEIPT_CONTEXT, UsageTree, UseAnswer, UseRequest, Voucher, parse_use_answer
from viz_node.errors import (
    LicenseRequiredError,
    NotFoundError,
    RefusedError,
    TransactionRevertedError,
    UsageError,
    VerificationError,
)
from viz_node.ports.keys import VerifyBytes, VoucherSigning
from viz_node.services.market.listings import Listing
from viz_node.services.market.trade import Trade
from viz_node.services.part import Report
from viz_node.services.uses.serve_uses import USE_METHOD, receipt_row

PAID = "pay:"
_ANSWER_SECONDS = 125.0


@dataclass(frozen=True)
class PaidChannel:
    """A channel of this account: what the node keeps under `key`, and what the chain says; one of both may lack."""

    key: str
    body: dict[str, Any]
    channel: Channel | None
    seconds_left: int
    """Until it is not served any more."""

    @property
    def number(self) -> int | None:
        """Its number on the chain, once that is known."""
        return self.channel.number if self.channel else self.body.get("number")

    @property
    def uses_left(self) -> int:
        """How often the deposit still pays for a use."""
        if self.channel is None or not self.body or self.seconds_left <= 0:
            return 0
        return self.channel.deposit // self.channel.price - int(self.body["uses"])

    @property
    def rest(self) -> TokenAmount:
        """What the uses so far leave of the deposit."""
        if self.channel is None:
            return TokenAmount(0)
        uses = max(int(self.body.get("uses", 0)), self.channel.uses)
        return TokenAmount(self.channel.deposit - uses * self.channel.price)


class Metered:
    """Channels that this node pays for, and uses through them."""

    def __init__(self, trade: Trade, vouchers: VoucherSigning, verify: VerifyBytes) -> None:
        self._trade = trade
        self._payments = trade.payments
        self._vouchers = vouchers
        self._verify = verify

    async def check_open(self, adapter: str, deposit: TokenAmount, days: int) -> Listing:
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
        window = (await asyncio.to_thread(self._trade.market.facts)).close_window_seconds
        if days * DAY_SECONDS <= window:
            least = window // DAY_SECONDS + 1
            raise UsageError(f"a channel is not served in its last {window} s", f"--days {least}, or more")
        return listing

    async def open(self, job: Job, report: Report) -> dict[str, Any]:
        """Job: lock the deposit; the session key is kept before anything is signed."""
        key = f"{PAID}{job.job_id}"
        body = self._trade.store.find_channel(key) or await self._begin(key, job)
        deposit = TokenAmount(int(job.order["deposit"]))
        report({"phase": "open", "step": 1, "steps": 1})
        wanted = NewChannel(
            item=int(body["item"]),
            session_account=body["session"],
            deposit=deposit,
            lifetime_seconds=int(job.order["days"]) * DAY_SECONDS,
            max_price=TokenAmount(body["price"]),
        )
        detail = {"kind": "channel", "adapter": body["adapter_id"], "job": job.job_id}
        call = self._trade.market.prepare_open_channel
        tx_hash = await self._payments.execute(f"channel:{job.job_id}", deposit, lambda: call(wanted), detail)
        paid = next(paid for paid in await self.channels() if paid.key == key)
        if paid.number is None:
            raise NotFoundError("the channel is not on the chain any more", "viz-node channel list")
        return {"channel": paid.number, "deposit": format_amount(deposit), "tx_hash": tx_hash}

    async def _begin(self, key: str, job: Job) -> dict[str, Any]:
        deposit, days = TokenAmount(int(job.order["deposit"])), int(job.order["days"])
        listing = await self.check_open(str(job.order["adapter"]), deposit, days)
        session_key = self._trade.sealing.new_key()
        body: dict[str, Any] = {
            "number": None,
            "adapter_id": listing.adapter_id,
            "peer_id": listing.manifest.peer_id,
            "offer_id": listing.offer.offer_id,
            "item": str(self._trade.item_of(listing.manifest, listing.offer)),
            "price": listing.offer.price,
            "session": self._vouchers.session_account(session_key),
            "key": self._trade.sealing.seal(session_key).hex(),
            "uses": 0,
            "tree": [],
            "asked": {},
            "kept": {},
        }
        self._trade.store.save_channel(key, body)
        return body

    async def top_up(self, job: Job, report: Report) -> dict[str, Any]:
        """Job: add to a deposit."""
        number, amount = int(job.order["channel"]), TokenAmount(int(job.order["amount"]))
        report({"phase": "top up", "step": 1, "steps": 1})
        order_id = f"top-up:{job.job_id}"
        session = Account("")
        if await self._trade.treasury.finish(order_id) is None:
            session = Account((await self.check_top_up(number)).body["session"])
        call = self._trade.market.prepare_top_up
        detail = {"kind": "top-up", "channel": number, "job": job.job_id}
        tx_hash = await self._payments.execute(order_id, amount, lambda: call(number, session, amount), detail)
        return {"channel": number, "added": format_amount(amount), "tx_hash": tx_hash}

    async def check_top_up(self, number: int) -> PaidChannel:
        """The channel, if more money is of use in it. Raises: NotFoundError, RefusedError."""
        paid = await self.find(number)
        if paid.channel is None or not paid.body or paid.seconds_left <= 0:
            raise RefusedError(f"channel {number} is closed, about to, or its key is lost", "viz-node channel open")
        return paid

    async def close(self, job: Job, report: Report) -> dict[str, Any]:
        """Job: ask for the close; `watch` takes the rest back when the holder has had his time."""
        number, order_id = int(job.order["channel"]), f"ask-close:{job.job_id}"
        report({"phase": "ask", "step": 1, "steps": 1})
        asked = await self._trade.treasury.finish(order_id)
        tx_hash = asked.tx_hash if asked else None
        if asked is None and (await self.find(number)).seconds_left > 0:
            detail = {"kind": "ask-close", "channel": number, "job": job.job_id}
            call = self._trade.market.prepare_ask_close
            tx_hash = await self._trade.treasury.execute(order_id, lambda: call(number), detail)
        channel = (await self.find(number)).channel
        return {"channel": number, "close_at": channel.close_at if channel else None, "tx_hash": tx_hash}

    async def use(self, job: Job, report: Report) -> dict[str, Any]:
        """Job: have the holder's node write on from a prompt, for the price of one use."""
        kept = self._kept(job)
        if kept is not None:
            return kept
        order = job.order
        listing = await self._trade.catalogue.listing(str(order["adapter"]))
        report({"phase": "ask", "step": 1, "steps": 1})
        paid = await self._channel_for(listing, job)
        while True:
            number, uses = int(paid.number or 0), int(paid.body["uses"]) + 1
            request = UseRequest(listing.adapter_id, number, uses, str(order["prompt"]), int(order["max_new_tokens"]))
            paid = await self._ask(paid, request, job.job_id, listing.manifest)
            # Else it was the answer to an earlier question under the same voucher, and is kept for the job that asked.
            kept = self._kept(job)
            if kept is not None:
                return kept

    def _kept(self, job: Job) -> dict[str, Any] | None:
        for body in self._trade.store.channels_with(PAID).values():
            if job.job_id in body["kept"]:
                result: dict[str, Any] = json.loads(self._trade.sealing.open(bytes.fromhex(body["kept"][job.job_id])))
                return result
        return None

    async def _ask(self, paid: PaidChannel, request: UseRequest, job_id: str, manifest: AdapterManifest) -> PaidChannel:
        """Send the next voucher with the request, and keep what it paid for: the channel after it."""
        key, body, channel = paid.key, paid.body, paid.channel
        if channel is None or channel.price != body["price"] or request.uses * channel.price > channel.deposit:
            top_up = f"viz-node channel top-up {request.channel} 1.00"
            raise LicenseRequiredError(f"the deposit of channel {request.channel} is used up", top_up)
        tree = UsageTree(body["tree"])
        voucher = Voucher(request.channel, request.uses * channel.price, request.uses, tree.root())
        signature = self._vouchers.sign(self._trade.sealing.open(bytes.fromhex(body["key"])), voucher)
        body["asked"] |= {request.digest(): job_id}
        self._trade.store.save_channel(key, body)
        raw = await self._trade.network.request(
            manifest.peer_id, USE_METHOD, request.to_bytes(signature), timeout_seconds=_ANSWER_SECONDS
        )
        answer = parse_use_answer(raw)
        self._check(answer, request, body["asked"], manifest)
        tree.append(answer.receipt)
        body = body | {"uses": request.uses, "tree": tree.state, "asked": {}}
        after = PaidChannel(key, body, channel, paid.seconds_left)
        result = self._sealed_result(answer, after, manifest)
        body["kept"] = self._unfinished(body["kept"]) | {paid.body["asked"][answer.receipt.request]: result}
        self._trade.store.save_channel(key, body, receipt_row(answer))
        return after

    def _sealed_result(self, answer: UseAnswer, after: PaidChannel, manifest: AdapterManifest) -> str:
        result = {
            "text": answer.text,
            "adapter": manifest.name,
            "channel": answer.receipt.channel,
            "paid": format_amount(int(after.body["price"])),
            "uses_left": after.uses_left,
        }
        return self._trade.sealing.seal(json.dumps(result).encode()).hex()

    def _unfinished(self, kept: dict[str, str]) -> dict[str, str]:
        """Without the answers that their jobs have taken."""
        done = {job.job_id for job in self._trade.store.list_jobs() if job.state is JobState.DONE} if kept else set()
        return {job_id: answer for job_id, answer in kept.items() if job_id not in done}

    def _check(self, answer: UseAnswer, request: UseRequest, asked: dict[str, str], manifest: AdapterManifest) -> None:
        receipt = answer.receipt
        said = receipt.market, receipt.channel, receipt.uses, receipt.adapter_id
        if said != (self._vouchers.domain.hex(), request.channel, request.uses, request.adapter_id):
            raise VerificationError("the holder's receipt is for another use")
        if receipt.request not in asked:
            raise VerificationError("the holder's receipt is for something that was not asked")
        self._verify(manifest.peer_id, RECEIPT_CONTEXT + receipt.payload(), answer.signature)

    async def _channel_for(self, listing: Listing, job: Job) -> PaidChannel:
        """The channel in which the job has asked already, else one that can pay, else one that could."""
        channels = [paid for paid in await self.channels() if paid.body.get("adapter_id") == listing.adapter_id]
        found = [paid for paid in channels if paid.channel and (paid.seconds_left > 0 or _has_asked(paid, job))]
        found.sort(key=lambda paid: (not _has_asked(paid, job), paid.uses_left <= 0))
        if not found:
            name = listing.manifest.name
            raise LicenseRequiredError(f"no channel for {name} is open", f"viz-node channel open {name} --deposit 2.00")
        return found[0]

    async def channels(self) -> list[PaidChannel]:
        """All channels of this account, the oldest first; those of which the node knows nothing come last."""
        market = self._trade.market
        opened: Sequence[Channel] = await asyncio.to_thread(market.channels_of, self._trade.keys.account)
        ends_from = await asyncio.to_thread(market.block_time)
        ends_from += (await asyncio.to_thread(market.facts)).close_window_seconds
        by_session = {str(channel.session_account): channel for channel in opened}
        found = []
        # From here on nothing waits, so that no use in progress is written over.
        for key, body in self._trade.store.channels_with(PAID).items():
            channel = by_session.pop(body["session"], None)
            if channel is not None and body["number"] != channel.number:
                # A voucher names the number: those from before a reorganisation that changed it are worth nothing.
                body |= {"number": channel.number, "uses": 0, "tree": [], "asked": {}}
                self._trade.store.save_channel(key, body)
            found.append(PaidChannel(key, body, channel, channel.close_at - ends_from if channel else 0))
        return found + [PaidChannel("", {}, item, item.close_at - ends_from) for item in by_session.values()]

    async def find(self, number: int) -> PaidChannel:
        """The channel with this number. Raises: NotFoundError."""
        for paid in await self.channels():
            if paid.number == number:
                return paid
        raise NotFoundError(f"this account has no channel {number}", "viz-node channel list")

    async def rows(self) -> list[dict[str, Any]]:
        """The channels of this account, as people see them."""
        return [_row(paid) for paid in await self.channels()]

    async def show(self, number: int) -> dict[str, Any]:
        """One channel with its receipts; `kept` are jobs whose answers wait for them. Raises: NotFoundError."""
        paid = await self.find(number)
        kept = sorted(self._unfinished(paid.body.get("kept", {})))
        return _row(paid) | {"kept": kept, "receipts": self._trade.store.receipts_of(paid.key)}

    async def watch(self) -> None:
        """Take back the rest of channels whose time is over. Raises: ChainUnavailableError, InsufficientFundsError."""
        now = await asyncio.to_thread(self._trade.market.block_time)
        for paid in await self.channels():
            if paid.channel is not None and now >= paid.channel.close_at:
                await self._take_back(paid.channel.number)

    async def _take_back(self, number: int) -> None:
        call = self._trade.market.prepare_close_channel
        detail = {"kind": "close", "channel": number}
        try:
            await self._trade.treasury.submit(f"close:{number}", lambda: call(number), detail)
        except TransactionRevertedError:  # anyone may close
            return


def _has_asked(paid: PaidChannel, job: Job) -> bool:
    return job.job_id in paid.body["asked"].values()


def _row(paid: PaidChannel) -> dict[str, Any]:
    body, channel = paid.body, paid.channel
    price, uses = body.get("price") or (channel.price if channel else 0), body.get("uses", 0)
    row = {
        "channel": paid.number,
        "adapter_id": body.get("adapter_id", ""),
        "price": format_amount(price),
        "uses": uses,
        "uses_left": paid.uses_left,
        "spent": format_amount(uses * price),
        "session": body.get("session") or (channel.session_account if channel else ""),
        "days_left": max(0, paid.seconds_left) // DAY_SECONDS,
        "deposit": format_amount(channel.deposit if channel else 0),
        "close_at": channel.close_at if channel else None,
    }
    return row | {"state": _state(paid)}


def _state(paid: PaidChannel) -> str:
    if paid.channel is None:
        return "closed" if paid.body["number"] else "not open"
    if not paid.body:
        return "key lost"
    return "open" if paid.seconds_left > 0 else "closing"
