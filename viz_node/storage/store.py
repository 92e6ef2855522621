"""All that a node remembers: the tables of its database file."""

from pathlib import Path

from viz_node.ports.state import State
from viz_node.storage import market_tables, tables
from viz_node.storage.database import Database
from viz_node.storage.schema import MIGRATIONS


class Store(State):
    """The node's state on one connection; every call of a table is one transaction."""

    def __init__(self, path: Path) -> None:
        """Open or create the database file. Raises: StorageError."""
        self._db = database = Database(Path(path), MIGRATIONS)
        super().__init__(
            works=tables.Works(database),
            jobs=tables.Jobs(database),
            adapters=tables.Adapters(database),
            announcements=tables.AnnouncementRows(database),
            outbox=tables.Outbox(database),
            channels=market_tables.Channels(database),
            pool_records=market_tables.PoolRecords(database),
            federations=tables.FederationRecords(database),
            sealed_orders=tables.SealedOrders(database),
            manifests=tables.Manifests(database),
            first_starts=tables.FirstStarts(database),
            settings=tables.Settings(database),
        )

    def close(self) -> None:
        """Close the file."""
        self._db.close()
