"""A look into a home's database from outside, whether its node runs or not; nothing is changed."""

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from viz_node.domain.job import JobState
from viz_node.errors import StorageError
from viz_node.storage.schema import MIGRATIONS

NEWEST_SCHEMA = len(MIGRATIONS)
_WAIT_SECONDS = 2


@dataclass(frozen=True)
class GlancedJob:
    """A job, as far as its row tells: `fault` is the class of its error, `subject` what it was about."""

    job_id: str
    kind: str
    state: str
    error: str
    updated: int
    fault: str
    subject: object


@dataclass(frozen=True)
class Glance:
    """What a check and a bug report need: schema, jobs, and the words that belong to the owner alone."""

    schema: int
    jobs: tuple[GlancedJob, ...]
    """The newest first."""
    private_words: frozenset[str]
    """Titles and authors of works, and names of adapters."""

    def jobs_in(self, *states: JobState, kind: str | None = None) -> list[GlancedJob]:
        """Those in one of the states."""
        return [job for job in self.jobs if job.state in states and kind in (None, job.kind)]


def glance(path: Path) -> Glance | None:
    """A look into the database; None if there is none. Raises: StorageError (damaged, of a newer program)."""
    if not path.exists():
        return None
    try:
        with closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_WAIT_SECONDS)
        ) as database:
            schema = int(database.execute("PRAGMA user_version").fetchone()[0])
            if schema > NEWEST_SCHEMA:
                raise StorageError(
                    f"{path} has schema {schema}, this program knows {NEWEST_SCHEMA}",
                    "install the newer version again, or restore a backup",
                )
            jobs = [
                json.loads(row[0])
                for row in database.execute("SELECT body FROM jobs ORDER BY created DESC, rowid DESC")
            ]
            works = [json.loads(row[0]) for row in database.execute("SELECT body FROM works")]
            adapters = [json.loads(row[0]) for row in database.execute("SELECT body FROM adapters")]
    except (sqlite3.Error, ValueError) as error:
        raise StorageError(f"cannot read {path}: {error}", "restore it from a backup") from error
    words = {str(work.get(key, "")) for work in works for key in ("title", "author")}
    words |= {str(adapter.get("name", "")) for adapter in adapters}
    return Glance(schema, tuple(_glanced(job) for job in jobs), frozenset(words - {""}))


def _glanced(job: dict[str, Any]) -> GlancedJob:
    job_id, kind, state, error = (str(job.get(key, "")) for key in ("job_id", "kind", "state", "error"))
    order = job.get("order") or {}
    subject = next((order[key] for key in ("name", "adapter", "pool", "channel") if key in order), order)
    fault = str((job.get("result") or {}).get("error", ""))
    return GlancedJob(job_id, kind, state, error, int(job.get("updated") or 0), fault, subject)
