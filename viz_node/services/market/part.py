"""The market's part: what this node offers to others, and what others offer to it."""

from dataclasses import dataclass

from viz_node.domain.decide_purchase import AskedPurchase
from viz_node.domain.ids import parse_amount
from viz_node.domain.job import Queued
from viz_node.domain.orders import FetchOrder, LicenseOrder, NoticeOrder, PriceOrder, PublishOrder, WithdrawOrder
from viz_node.domain.plan import PlanStep, PurchaseStep, gas_only
from viz_node.domain.pricing import parse_time
from viz_node.domain.terms import AskedPublication
from viz_node.services.jobs.runner import JobRunner
from viz_node.services.library.train_adapter import Workshop
from viz_node.services.market.deliver_key import KEY_METHOD, KeyDesk
from viz_node.services.market.deliver_orders import Deliveries
from viz_node.services.market.export_adapter import ExportedAdapter, Exports
from viz_node.services.market.fetch_adapter import Fetcher
from viz_node.services.market.file_notice import NoticePlans, Notices, ShownNotice
from viz_node.services.market.license_adapter import Buyer
from viz_node.services.market.list_licenses import LicenseList, ShownLicense
from viz_node.services.market.listings import MANIFEST_METHOD, Listings, ShownListing, SilentListing
from viz_node.services.market.order_key import KeyOrders
from viz_node.services.market.order_publication import PublicationOrders
from viz_node.services.market.plan_publication import PublicationPlans
from viz_node.services.market.plan_purchase import PurchasePlans
from viz_node.services.market.publish_adapter import Publisher
from viz_node.services.market.serve_adapters import Storefront
from viz_node.services.market.set_price import PricePlans, Prices, ShownPrices
from viz_node.services.part import Kind, Lane, Part, operations_of


@dataclass(frozen=True)
class Market:
    """The use cases of this stage."""

    listings: Listings
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
        kinds = (
            Kind(PublishOrder, Lane.MARKET, self.publisher.publish),
            Kind(PriceOrder, Lane.MARKET, self.prices.set),
            Kind(WithdrawOrder, Lane.MARKET, self.prices.withdraw),
            Kind(NoticeOrder, Lane.MARKET, self.notices.file),
            Kind(LicenseOrder, Lane.MARKET, self.buyer.license),
            Kind(FetchOrder, Lane.TRANSFER, self.fetcher.fetch),
        )
        return Part(
            operations_of(selling, buying),
            answers={MANIFEST_METHOD: self.storefront.on_manifest, KEY_METHOD: self.key_desk.on_key},
            watchers=(self.key_orders.watch, self.deliveries.watch),
            checks=(self.deliveries.check,),
            kinds=kinds,
        )


class Selling:
    """What an owner asks of the market."""

    def __init__(self, market: Market, workshop: Workshop, jobs: JobRunner, is_test_gas: bool) -> None:
        self._orders, self._publications = market.publication_orders, market.publication_plans
        self._prices, self._price_plans = market.prices, market.price_plans
        self._notices, self._notice_plans = market.notices, market.notice_plans
        self._workshop, self._jobs, self._is_test_gas = workshop, jobs, is_test_gas

    async def publish(self, asked: AskedPublication) -> Queued:
        """Offer an adapter."""
        return self._jobs.accept(await self._publication(asked))

    async def plan_publish(self, asked: AskedPublication) -> list[PurchaseStep]:
        """What offering an adapter costs and means."""
        order = await self._publication(asked)
        return gas_only(await self._publications.publish(order.adapter, order.terms), self._is_test_gas)

    async def _publication(self, asked: AskedPublication) -> PublishOrder:
        name = self._workshop.find_adapter(asked.adapter).name
        terms = asked.checked()
        await self._orders.require_known(name)
        lineage = await self._orders.lineage(asked.parents or [])
        return PublishOrder(name, self._orders.check_order(name, terms, lineage))

    async def pricing_show(self, *, adapter: str, at: str | None = None) -> ShownPrices:
        """Offers, how their prices move, what was paid, and what their rules say."""
        return await self._prices.show(adapter, None if at is None else parse_time(at))

    async def pricing_set(
        self, *, adapter: str, price: str, ceiling: str | None = None, target: int | None = None
    ) -> Queued:
        """Sell at another price from now on."""
        return self._jobs.accept(await self._price_plans.check_change(adapter, price, ceiling, target))

    async def plan_pricing(
        self, *, adapter: str, price: str, ceiling: str | None = None, target: int | None = None
    ) -> list[PurchaseStep]:
        """What another price costs and means."""
        order = await self._price_plans.check_change(adapter, price, ceiling, target)
        return gas_only(await self._price_plans.change(order), self._is_test_gas)

    async def withdraw(self, *, adapter: str) -> Queued:
        """End the sales of an adapter."""
        return self._jobs.accept(WithdrawOrder(self._workshop.find_adapter(adapter).name))

    async def plan_withdraw(self, *, adapter: str) -> list[PlanStep]:
        """What withdrawing means."""
        return await self._price_plans.withdrawal(adapter)

    async def notice_show(self, *, adapter: str) -> list[ShownNotice]:
        """Complaints and answers."""
        return await self._notices.show(adapter)

    async def notice_file(self, *, adapter: str, digest: str, answers: int | None = None) -> Queued:
        """Put a complaint or an answer on record."""
        return self._jobs.accept(await self._notice_plans.check(adapter, digest, answers))

    async def plan_notice(self, *, adapter: str, digest: str, answers: int | None = None) -> list[PlanStep]:
        """What putting it on record costs and means."""
        return await self._notice_plans.plan(adapter, digest, answers)


class Buying:
    """What a licensee asks of the market."""

    def __init__(self, market: Market, exports: Exports, jobs: JobRunner) -> None:
        self._exports = exports
        self._listings, self._purchases, self._licenses = market.listings, market.purchase_plans, market.licenses
        self._jobs = jobs

    async def search(self, *, text: str = "") -> list[ShownListing | SilentListing]:
        """The market."""
        return await self._listings.search(text)

    async def show(self, *, adapter: str) -> ShownListing:
        """One listing."""
        return await self._listings.show(adapter)

    async def license(self, *, adapter: str, max_price: str, renew: bool = False) -> Queued:
        """Buy or extend a license."""
        return self._jobs.accept(LicenseOrder(adapter, parse_amount(max_price), renew))

    async def plan_license(self, *, adapter: str, max_price: str, renew: bool = False) -> list[PurchaseStep]:
        """What buying costs and means."""
        return await self._purchases.license(adapter, AskedPurchase(parse_amount(max_price), renew))

    async def license_list(self, *, sold: bool = False) -> list[ShownLicense]:
        """Licenses of this account, or those of its adapters."""
        return await (self._licenses.sold() if sold else self._licenses.held())

    async def fetch(self, *, adapter: str) -> Queued:
        """Download a licensed adapter."""
        return self._jobs.accept(FetchOrder(adapter))

    async def export(self, *, adapter: str, directory: str) -> ExportedAdapter:
        """Write an adapter of the library into a folder that PEFT loads."""
        return await self._exports.export(adapter, directory)
