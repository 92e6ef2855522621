"""The market's part: what this node offers to others, and what others offer to it."""

from dataclasses import dataclass
from typing import Any

from viz_node.domain.ids import parse_amount
from viz_node.domain.job import Queued
from viz_node.domain.orders import FetchOrder
from viz_node.domain.permissions import parse_permissions
from viz_node.domain.pricing import parse_time
from viz_node.domain.terms import AskedTerms, is_escrowed
from viz_node.services.jobs.runner import JobRunner
from viz_node.services.library.train_adapter import Workshop
from viz_node.services.market.deliver_key import KEY_METHOD, KeyDesk
from viz_node.services.market.deliver_orders import Deliveries
from viz_node.services.market.fetch_adapter import Fetcher
from viz_node.services.market.file_notice import NoticePlans, Notices
from viz_node.services.market.license_adapter import Buyer
from viz_node.services.market.list_licenses import LicenseList, ShownLicense
from viz_node.services.market.listings import MANIFEST_METHOD, Catalogue, ShownListing, SilentListing
from viz_node.services.market.order_key import KeyOrders
from viz_node.services.market.order_publication import PublicationOrders
from viz_node.services.market.plan_publication import PublicationPlans
from viz_node.services.market.plan_purchase import PurchasePlans
from viz_node.services.market.publish_adapter import Publisher
from viz_node.services.market.serve_adapters import Storefront
from viz_node.services.market.set_price import PricePlans, Prices
from viz_node.services.money.part import gas_only
from viz_node.services.part import Answer, Kind, Lane, Part, Rows, on_lane, operations_of


@dataclass(frozen=True)
class Market:
    """The use cases of this stage."""

    catalogue: Catalogue
    storefront: Storefront
    publication_orders: PublicationOrders
    publication_plans: PublicationPlans
    publisher: Publisher
    price_plans: PricePlans
    prices: Prices
    notice_plans: NoticePlans
    notices: Notices
    purchase_plans: PurchasePlans
    buyer: Buyer
    fetcher: Fetcher
    licenses: LicenseList
    key_orders: KeyOrders
    key_desk: KeyDesk
    deliveries: Deliveries

    def part(self, selling: "Selling", buying: "Buying") -> Part:
        """Keys are given, and orders carried on, by watchers; the rest are jobs that people order."""
        handlers = {
            "publish": self.publisher.publish,
            "price": self.prices.set,
            "withdraw": self.prices.withdraw,
            "notice": self.notices.file,
            "license": self.buyer.license,
        }
        return Part(
            operations_of(selling, buying),
            on_lane(Lane.MARKET, handlers),
            {MANIFEST_METHOD: self.storefront.on_manifest, KEY_METHOD: self.key_desk.on_key},
            (self.key_orders.watch, self.deliveries.watch),
            (self.deliveries.check,),
            (Kind(FetchOrder, Lane.TRANSFER, self.fetcher.fetch),),
        )


class Selling:
    """What an owner asks of the market."""

    def __init__(self, market: Market, workshop: Workshop, jobs: JobRunner, is_test_gas: bool) -> None:
        self._orders, self._publications = market.publication_orders, market.publication_plans
        self._prices, self._price_plans = market.prices, market.price_plans
        self._notices, self._notice_plans = market.notices, market.notice_plans
        self._workshop, self._jobs, self._is_test_gas = workshop, jobs, is_test_gas

    async def publish(  # noqa: PLR0913 - what people may say when they offer something
        self, *, adapter: str, price: str, split: str | None = None, license: str = "perpetual",
        duration_days: int | None = None, ceiling: str | None = None, target: int | None = None,
        escrow: bool | None = None, terms: dict[str, Any] | None = None, parents: list[str] | None = None,
    ) -> Answer:  # fmt: skip
        """Offer an adapter."""
        asked = AskedTerms(
            price,
            split,
            license,
            duration_days,
            ceiling,
            target,
            is_escrowed(escrow, license),
            parse_permissions(terms or {}),
        )
        return self._jobs.order("publish", await self._publication(adapter, asked, parents))

    async def plan_publish(  # noqa: PLR0913 - the same
        self, *, adapter: str, price: str, split: str | None = None, license: str = "perpetual",
        duration_days: int | None = None, ceiling: str | None = None, target: int | None = None,
        escrow: bool | None = None, terms: dict[str, Any] | None = None, parents: list[str] | None = None,
    ) -> Rows:  # fmt: skip
        """What offering an adapter costs and means."""
        asked = AskedTerms(
            price,
            split,
            license,
            duration_days,
            ceiling,
            target,
            is_escrowed(escrow, license),
            parse_permissions(terms or {}),
        )
        order = await self._publication(adapter, asked, parents)
        return gas_only(await self._publications.publish(order["adapter"], order["terms"]), self._is_test_gas)

    async def _publication(self, adapter: str, asked: AskedTerms, parents: list[str] | None) -> dict[str, Any]:
        name = self._workshop.find_adapter(adapter).name
        await self._orders.require_known(name)
        lineage = await self._orders.lineage(parents or [])
        return {"adapter": name} | self._orders.check_order(name, asked, lineage)

    async def pricing_show(self, *, adapter: str, at: str | None = None) -> Answer:
        """Offers, how their prices move, what was paid, and what their rules say."""
        return await self._prices.show(adapter, None if at is None else parse_time(at))

    async def pricing_set(
        self, *, adapter: str, price: str, ceiling: str | None = None, target: int | None = None
    ) -> Answer:
        """Sell at another price from now on."""
        return self._jobs.order("price", await self._price_plans.check_change(adapter, price, ceiling, target))

    async def plan_pricing(
        self, *, adapter: str, price: str, ceiling: str | None = None, target: int | None = None
    ) -> Rows:
        """What another price costs and means."""
        order = await self._price_plans.check_change(adapter, price, ceiling, target)
        return gas_only(await self._price_plans.change(order), self._is_test_gas)

    async def withdraw(self, *, adapter: str) -> Answer:
        """End the sales of an adapter."""
        return self._jobs.order("withdraw", {"adapter": self._workshop.find_adapter(adapter).name})

    async def plan_withdraw(self, *, adapter: str) -> Rows:
        """What withdrawing means."""
        return await self._price_plans.withdrawal(adapter)

    async def notice_show(self, *, adapter: str) -> Rows:
        """Complaints and answers."""
        return await self._notices.show(adapter)

    async def notice_file(self, *, adapter: str, digest: str, answers: int | None = None) -> Answer:
        """Put a complaint or an answer on record."""
        return self._jobs.order("notice", await self._notice_plans.check(adapter, digest, answers))

    async def plan_notice(self, *, adapter: str, digest: str, answers: int | None = None) -> Rows:
        """What putting it on record costs and means."""
        return await self._notice_plans.plan(adapter, digest, answers)


class Buying:
    """What a licensee asks of the market."""

    def __init__(self, market: Market, jobs: JobRunner) -> None:
        self._catalogue, self._purchases, self._licenses = market.catalogue, market.purchase_plans, market.licenses
        self._jobs = jobs

    async def search(self, *, text: str = "") -> list[ShownListing | SilentListing]:
        """The market."""
        return await self._catalogue.search(text)

    async def show(self, *, adapter: str) -> ShownListing:
        """One listing."""
        return await self._catalogue.show(adapter)

    async def license(self, *, adapter: str, max_price: str, renew: bool = False) -> Answer:
        """Buy or extend a license."""
        order = {"adapter": adapter, "max_price": parse_amount(max_price), "renew": renew}
        return self._jobs.order("license", order)

    async def plan_license(self, *, adapter: str, max_price: str, renew: bool = False) -> Rows:
        """What buying costs and means."""
        return await self._purchases.license(adapter, parse_amount(max_price), renew)

    async def license_list(self, *, sold: bool = False) -> list[ShownLicense]:
        """Licenses of this account, or those of its adapters."""
        return await (self._licenses.sold() if sold else self._licenses.held())

    async def fetch(self, *, adapter: str) -> Queued:
        """Download a licensed adapter."""
        return self._jobs.accept(FetchOrder(adapter))
