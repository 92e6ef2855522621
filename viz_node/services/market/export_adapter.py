"""Adapters written into folders for other programs, with a card that says what they are and on which terms."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from viz_node.domain.model_card import CardFacts, CardLicense, write_card
from viz_node.domain.records import AdapterRecord
from viz_node.domain.training import InstalledBase
from viz_node.errors import NotFoundError, UnreachableError, VerificationError
from viz_node.ports.state import Adapters
from viz_node.services.market.list_licenses import LicenseList
from viz_node.services.market.listings import Listings

ExportFiles = Callable[[str, str, str], object]
"""Folder of the adapter, new folder, and the card that goes into it."""


@dataclass(frozen=True)
class ExportedAdapter:
    """An adapter, and the folder that PEFT loads it from."""

    name: str
    directory: str


@dataclass(frozen=True)
class Place:
    """Where this node trades."""

    chain_id: int
    market: str


class Exports:
    """Writes adapters of the library."""

    def __init__(
        self,
        adapters: Adapters,
        list_bases: Callable[[], list[InstalledBase]],
        listings: Listings,
        licenses: LicenseList,
        place: Place,
        export_files: ExportFiles,
    ) -> None:
        self._adapters, self._list_bases, self._listings = adapters, list_bases, listings
        self._licenses, self._place, self._export_files = licenses, place, export_files

    async def export(self, adapter: str, directory: str) -> ExportedAdapter:
        """Write a folder that PEFT loads, and its card.

        Raises: NotFoundError, VerificationError, RefusedError (the folder exists), StorageError.
        """
        record = self._adapters.find_adapter(adapter)
        card = write_card(await self._facts(record))
        await asyncio.to_thread(self._export_files, record.directory, directory, card)
        return ExportedAdapter(record.name, directory)

    async def _facts(self, record: AdapterRecord) -> CardFacts:
        licenses = [base.license for base in self._list_bases() if base.digest == record.base_digest]
        return CardFacts(
            name=record.name,
            origin=record.origin,
            created=record.created,
            base_name=record.base_name,
            base_license=licenses[0] if licenses else "",
            training=record.training,
            evaluation=record.evaluation,
            manifest=None if record.manifest is None else self._listings.manifest_of(record),
            held=await self._held(record) if record.origin == "fetched" else None,
            chain_id=self._place.chain_id,
            market=self._place.market,
        )

    async def _held(self, record: AdapterRecord) -> CardLicense | None:
        """The license that this account holds or held; None while the chain does not answer."""
        with suppress(UnreachableError, VerificationError, NotFoundError):
            rows = [row for row in await self._licenses.held() if row.adapter_id == record.adapter_id]
            for row in sorted(rows, key=lambda row: row.is_valid, reverse=True):
                return CardLicense(row.holder, row.offer, row.order, row.expires, row.paid)
        return None
