"""The local HTTP side: guarded calls for the command line and a dashboard for people; speaks to operations only."""

from viz_node.api.guard import Sessions
from viz_node.api.routes import Operation, Scrape, make_app

__all__ = ["Operation", "Scrape", "Sessions", "make_app"]
