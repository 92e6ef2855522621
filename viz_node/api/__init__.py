"""The local HTTP side: guarded calls for the command line and a dashboard for people; speaks to operations only."""

from viz_node.api.routes import Operation, Scrape, issue_login_path, make_app

__all__ = ["Operation", "Scrape", "issue_login_path", "make_app"]
