"""All that a node remembers: the tables of its database file."""

from pathlib import Path

from viz_node.storage import tables
from viz_node.storage.database import Database
from viz_node.storage.schema import MIGRATIONS


class Store:
    """The node's state on one connection; every call of a table is one transaction."""

    def __init__(self, path: Path) -> None:
        """Open or create the database file. Raises: StorageError."""
        self._db = database = Database(Path(path), MIGRATIONS)
        self.works = tables.Works(database)
        self.jobs = tables.Jobs(database)
        self.adapters = tables.Adapters(database)
        self.announcements = tables.AnnouncementRows(database)
        self.outbox = tables.Outbox(database)
        self.channels = tables.Channels(database)
        self.pool_records = tables.PoolRecords(database)
        self.federations = tables.FederationRecords(database)
        self.settings = tables.Settings(database)

    def close(self) -> None:
        """Close the file."""
        self._db.close()
