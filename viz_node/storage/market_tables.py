"""What a node remembers of channels and pools."""

from viz_node.domain.answer import as_json
from viz_node.domain.channel import EARNED, PAID, EarnedRecord, PaidRecord, parse_earned, parse_paid
from viz_node.domain.pool_records import Record, parse_record
from viz_node.domain.usage import SignedReceipt, parse_signed_receipt
from viz_node.storage.database import Row
from viz_node.storage.table import Table, as_text, upsert


class Channels(Table):
    """Channels for paid uses, with their receipts."""

    def save_paid(self, key: str, record: PaidRecord, receipt: SignedReceipt | None = None) -> None:
        """Insert or replace what the payer keeps of a channel, with the receipt of its newest use, in one step."""
        self._save(key, record, receipt, None)

    def find_paid(self, key: str) -> PaidRecord | None:
        """The payer's record of the channel. Raises: VerificationError."""
        text = self.value("channels", "body", key, str)
        return None if text is None else parse_paid(text)

    def list_paid(self) -> dict[str, PaidRecord]:
        """All channels that this node pays for, by key, oldest first. Raises: VerificationError."""
        return {key: parse_paid(body) for key, body in self._with(PAID)}

    def save_earned(
        self, key: str, record: EarnedRecord, receipt: SignedReceipt | None = None, answer: str | None = None
    ) -> None:
        """Insert or replace what the owner keeps of a channel, with receipt and answer of its newest use, in one step.

        All receipts are kept, and the last answer.
        """
        self._save(key, record, receipt, answer)

    def find_earned(self, key: str) -> EarnedRecord | None:
        """The owner's record of the channel. Raises: VerificationError."""
        text = self.value("channels", "body", key, str)
        return None if text is None else parse_earned(text)

    def list_earned(self) -> dict[str, EarnedRecord]:
        """All channels that this node earns from, by key, oldest first. Raises: VerificationError."""
        return {key: parse_earned(body) for key, body in self._with(EARNED)}

    def answer_of(self, key: str) -> str | None:
        """The answer that was kept with the channel's newest use."""
        return self.value("channels", "answer", key, str)

    def receipts_of(self, key: str) -> list[SignedReceipt]:
        """The receipts of a channel, oldest first. Raises: VerificationError."""
        rows = self.db.query("SELECT body FROM receipts WHERE channel = ? ORDER BY rowid", (key,))
        return [parse_signed_receipt(body) for (body,) in rows]

    def _save(
        self, key: str, record: PaidRecord | EarnedRecord, receipt: SignedReceipt | None, answer: str | None
    ) -> None:
        sql = (
            "INSERT INTO channels (id, body, answer) VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET"
            " body = excluded.body, answer = coalesce(excluded.answer, answer)"
        )
        with self.db.transaction():
            self.db.execute(sql, (key, as_text(as_json(record)), answer))
            if receipt is not None:
                values = (f"{key}/{record.uses}", key, as_text(as_json(receipt)))
                self.db.execute(upsert("receipts", ("id", "channel", "body")), values)

    def _with(self, prefix: str) -> list[Row]:
        sql = "SELECT id, body FROM channels WHERE substr(id, 1, ?) = ? ORDER BY rowid"
        return self.db.query(sql, (len(prefix), prefix))


class PoolRecords(Table):
    """What the node knows of pools."""

    def save_pool_record(self, key: str, record: object) -> None:
        """Insert or replace what the node knows of a pool under a key like `member/1/2`."""
        self.db.execute(upsert("pool_records", ("id", "body")), (key, as_text(as_json(record))))

    def find_pool_record(self, key: str, kind: type[Record]) -> Record | None:
        """The record with exactly this key. Raises: VerificationError."""
        text = self.value("pool_records", "body", key, str)
        return None if text is None else parse_record(text, kind)

    def pool_records_with(self, prefix: str, kind: type[Record]) -> dict[str, Record]:
        """The records whose keys begin so, by key, oldest first. Raises: VerificationError."""
        rows = self.db.query("SELECT id, body FROM pool_records WHERE substr(id, 1, ?) = ? ORDER BY rowid",
                              (len(prefix), prefix))  # fmt: skip
        return {key: parse_record(body, kind) for key, body in rows}

    def remove_pool_record(self, key: str) -> None:
        """Forget the record with exactly this key."""
        self.db.execute("DELETE FROM pool_records WHERE id = ?", (key,))
