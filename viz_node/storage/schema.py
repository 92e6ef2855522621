"""The tables of a node's database, version by version.

Each has the columns that are searched or ordered by and, where a row is a record, a JSON `body` with it, so that
amounts of any size survive.
"""

_VERSION_1 = """
CREATE TABLE works (id TEXT PRIMARY KEY, added INTEGER NOT NULL, sealed_path TEXT NOT NULL, body TEXT NOT NULL) STRICT;
CREATE TABLE jobs (id TEXT PRIMARY KEY, created INTEGER NOT NULL, state TEXT NOT NULL, body TEXT NOT NULL) STRICT;
CREATE TABLE adapters (
    id TEXT PRIMARY KEY, adapter_id TEXT UNIQUE, created INTEGER NOT NULL, manifest BLOB, body TEXT NOT NULL
) STRICT;
CREATE TABLE announcements (
    id TEXT PRIMARY KEY, sequence INTEGER NOT NULL, expires INTEGER NOT NULL, raw BLOB NOT NULL
) STRICT;
CREATE TABLE outbox (
    id TEXT PRIMARY KEY, order_id TEXT NOT NULL, kind TEXT NOT NULL, state TEXT NOT NULL, nonce INTEGER NOT NULL,
    created INTEGER NOT NULL, raw BLOB NOT NULL, body TEXT NOT NULL
) STRICT;
CREATE INDEX outbox_by_order ON outbox (order_id);
CREATE TABLE orders (id TEXT PRIMARY KEY, created INTEGER NOT NULL, state TEXT NOT NULL, body TEXT NOT NULL) STRICT;
CREATE TABLE federations (id TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT;
CREATE TABLE settings (id TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT
"""
_VERSION_2 = "DROP TABLE orders"
_VERSION_3 = """
CREATE TABLE channels (id TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT;
CREATE TABLE receipts (id TEXT PRIMARY KEY, channel TEXT NOT NULL, body TEXT NOT NULL) STRICT;
CREATE INDEX receipts_by_channel ON receipts (channel)
"""
_VERSION_4 = """
ALTER TABLE channels ADD COLUMN answer TEXT;
UPDATE channels SET answer = json_extract(body, '$.answer'), body = json_remove(body, '$.answer');
UPDATE channels SET body = json_set(body, '$.asked', json('{}'), '$.kept', json('{}')) WHERE substr(id, 1, 4) = 'pay:'
"""
_VERSION_5 = "CREATE TABLE pool_records (id TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT"
# One per adapter and peer; peers repeat their announcements.
_VERSION_6 = "DELETE FROM announcements"
# What was found by a prefix of its name among the settings has tables of its own.
_VERSION_7 = """
CREATE TABLE order_secrets (id TEXT PRIMARY KEY, sealed TEXT NOT NULL) STRICT;
CREATE TABLE order_keys (id TEXT PRIMARY KEY, sealed TEXT NOT NULL) STRICT;
CREATE TABLE manifests (id TEXT PRIMARY KEY, raw BLOB NOT NULL) STRICT;
CREATE TABLE first_start (id TEXT PRIMARY KEY, state TEXT NOT NULL) STRICT;
INSERT INTO order_secrets SELECT substr(id, 14), value FROM settings WHERE substr(id, 1, 13) = 'order-secret:';
INSERT INTO order_keys SELECT substr(id, 11), value FROM settings WHERE substr(id, 1, 10) = 'order-key:';
INSERT INTO manifests SELECT substr(id, 10), CAST(value AS BLOB) FROM settings WHERE substr(id, 1, 9) = 'manifest:';
INSERT INTO first_start SELECT id, value FROM settings WHERE id = 'sample';
DELETE FROM settings WHERE id = 'sample' OR substr(id, 1, 13) = 'order-secret:' OR substr(id, 1, 10) = 'order-key:'
    OR substr(id, 1, 9) = 'manifest:'
"""
MIGRATIONS = (_VERSION_1, _VERSION_2, _VERSION_3, _VERSION_4, _VERSION_5, _VERSION_6, _VERSION_7)
