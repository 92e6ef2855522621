"""The node's durable state: its home directory, its lock and its SQLite database."""
