"""The endpoint's rows in SQLite: every transition is one statement, hence one commit.

WAL with `synchronous=NORMAL`: a commit survives the death of this process; a power cut may lose the last few.
Calls are synchronous on the event loop on purpose: a commit is an append of some 50 µs, and no other step can
come between reading a job and changing it.
"""

import os
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Status = Literal["IN_QUEUE", "IN_PROGRESS", "COMPLETED", "FAILED", "CANCELLED", "TIMED_OUT"]
FINAL: tuple[Status, ...] = ("COMPLETED", "FAILED", "CANCELLED", "TIMED_OUT")

SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    id TEXT PRIMARY KEY,
    seq INTEGER NOT NULL,
    endpoint TEXT NOT NULL,
    is_sync INTEGER NOT NULL,
    input TEXT NOT NULL,
    webhook TEXT,
    status TEXT NOT NULL,
    output TEXT,
    error TEXT,
    worker_id TEXT,
    deliveries INTEGER NOT NULL DEFAULT 0,
    execution_timeout_s REAL NOT NULL,
    submitted_at REAL NOT NULL,
    expires_at REAL NOT NULL,
    handed_at REAL,
    finished_at REAL,
    webhook_tries INTEGER NOT NULL DEFAULT 0,
    webhook_due_at REAL
);
CREATE INDEX IF NOT EXISTS jobs_queued ON jobs (endpoint, seq) WHERE status = 'IN_QUEUE';
CREATE INDEX IF NOT EXISTS jobs_open ON jobs (expires_at) WHERE finished_at IS NULL;
CREATE INDEX IF NOT EXISTS jobs_ended ON jobs (is_sync, finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS jobs_counted ON jobs (endpoint, status, deliveries);
CREATE INDEX IF NOT EXISTS jobs_webhook ON jobs (webhook_due_at) WHERE webhook_due_at IS NOT NULL;
CREATE TABLE IF NOT EXISTS stream_parts (
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    job_id TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    part TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS stream_parts_job ON stream_parts (job_id);
"""

COLUMNS = (
    "id, seq, endpoint, is_sync, input, webhook, status, output, error, worker_id, deliveries, "
    "execution_timeout_s, submitted_at, expires_at, handed_at, finished_at, webhook_tries"
)


FORGOTTEN = "{}"
"""What stands for an input that nobody needs any more."""


@dataclass(frozen=True, slots=True)
class Job:
    """One row. `input` and `output` are JSON text, passed on without being looked into."""

    id: str
    seq: int
    endpoint: str
    is_sync: bool
    input: str
    webhook: str | None
    status: Status
    output: str | None
    error: str | None
    worker_id: str | None
    deliveries: int
    execution_timeout_s: float
    submitted_at: float
    expires_at: float
    handed_at: float | None
    finished_at: float | None
    webhook_tries: int

    @property
    def is_final(self) -> bool:
        """Whether the job has ended, one way or another."""
        return self.status in FINAL


class Store:
    """The file `queue.db`, opened by one process."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))  # rows hold signed addresses
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.execute("PRAGMA foreign_keys = ON")
        self._db.executescript(SCHEMA)
        self._last_seq: int = self._db.execute("SELECT coalesce(max(seq), 0) FROM jobs").fetchone()[0]

    def close(self) -> None:
        """Close the file; SQLite folds the log back into it."""
        self._db.close()

    def add(
        self,
        job_id: str,
        endpoint: str,
        *,
        is_sync: bool,
        input_json: str,
        webhook: str | None,
        execution_timeout_s: float,
        submitted_at: float,
        expires_at: float,
    ) -> None:
        """Put a new job at the back of its endpoint's queue."""
        self._db.execute(
            "INSERT INTO jobs (id, seq, endpoint, is_sync, input, webhook, status, execution_timeout_s, submitted_at,"
            " expires_at) VALUES (?, ?, ?, ?, ?, ?, 'IN_QUEUE', ?, ?, ?)",
            (
                job_id,
                self._next_seq(),
                endpoint,
                is_sync,
                input_json,
                webhook,
                execution_timeout_s,
                submitted_at,
                expires_at,
            ),
        )

    def job(self, job_id: str) -> Job | None:
        """One job by its id."""
        return _first(self._jobs("WHERE id = ?", job_id))

    def next_queued(self, endpoint: str) -> Job | None:
        """The job whose turn it is."""
        return _first(self._jobs("WHERE endpoint = ? AND status = 'IN_QUEUE' ORDER BY seq LIMIT 1", endpoint))

    def running(self) -> list[Job]:
        """Every job that some worker has been given and not brought back."""
        return self._jobs("WHERE finished_at IS NULL AND status = 'IN_PROGRESS'")

    def hand_over(self, job_id: str, worker_id: str, now: float) -> bool:
        """Queued to running."""
        return self._changed(
            "UPDATE jobs SET status = 'IN_PROGRESS', worker_id = ?, handed_at = ?, deliveries = deliveries + 1"
            " WHERE id = ? AND status = 'IN_QUEUE'",
            (worker_id, now, job_id),
        )

    def requeue(self, job_id: str, *, count_delivery: bool) -> bool:
        """Running back to queued. It keeps its old number and so stands before everything submitted later."""
        return self._changed(
            "UPDATE jobs SET status = 'IN_QUEUE', worker_id = NULL, handed_at = NULL, output = NULL,"
            " deliveries = deliveries - ? WHERE id = ? AND status = 'IN_PROGRESS'",
            (0 if count_delivery else 1, job_id),
        )

    def progress(self, job_id: str, output: str | None) -> bool:
        """Keep the last progress; ignored unless the job is running."""
        return self._changed("UPDATE jobs SET output = ? WHERE id = ? AND status = 'IN_PROGRESS'", (output, job_id))

    def finish(self, job_id: str, status: Status, now: float, *, output: str | None, error: str | None) -> bool:
        """Open to final, once; its webhook, if it has one, becomes due in the same commit.

        What nobody can retry and no webhook will quote is forgotten at once: an input says what a shopper stated.
        """
        return self._changed(
            "UPDATE jobs SET status = ?1, output = ?2, error = ?3, finished_at = ?4,"
            " webhook_due_at = CASE WHEN webhook IS NULL THEN NULL ELSE ?4 END,"
            " input = CASE WHEN webhook IS NULL AND ?1 IN ('COMPLETED', 'CANCELLED') THEN ?6 ELSE input END"
            " WHERE id = ?5 AND finished_at IS NULL",
            (status, output, error, now, job_id, FORGOTTEN),
        )

    def retry(self, job_id: str, now: float, expires_at: float) -> bool:
        """Failed or timed out, back to the end of the queue."""
        return self._changed(
            "UPDATE jobs SET status = 'IN_QUEUE', seq = ?, output = NULL, error = NULL, worker_id = NULL,"
            " deliveries = 0, submitted_at = ?, expires_at = ?, handed_at = NULL, finished_at = NULL,"
            " webhook_tries = 0, webhook_due_at = NULL WHERE id = ? AND status IN ('FAILED', 'TIMED_OUT')",
            (self._next_seq(), now, expires_at, job_id),
        )

    def queued_ids(self, endpoint: str) -> list[str]:
        """Ids of all waiting jobs, in order."""
        rows = self._db.execute(
            "SELECT id FROM jobs WHERE endpoint = ? AND status = 'IN_QUEUE' ORDER BY seq", (endpoint,)
        )
        return [row[0] for row in rows]

    def expired(self, now: float) -> list[Job]:
        """Open jobs past their time to live."""
        return self._jobs("WHERE finished_at IS NULL AND expires_at <= ?", now)

    def delete(self, job_ids: Iterable[str]) -> None:
        """Remove jobs with everything that hangs on them."""
        self._db.executemany("DELETE FROM jobs WHERE id = ?", ((job_id,) for job_id in job_ids))

    def delete_retained(self, before: float, before_sync: float) -> None:
        """Remove final jobs finished before these times, unless a webhook is still to be sent."""
        for is_sync, limit in ((False, before), (True, before_sync)):
            self._db.execute(
                "DELETE FROM jobs WHERE is_sync = ? AND finished_at <= ? AND webhook_due_at IS NULL", (is_sync, limit)
            )

    def counts(self, endpoint: str) -> tuple[dict[str, int], int]:
        """Jobs by status, and how often one was handed over again."""
        rows = self._db.execute(
            "SELECT status, count(*), sum(max(deliveries - 1, 0)) FROM jobs WHERE endpoint = ? GROUP BY status",
            (endpoint,),
        ).fetchall()
        return {row[0]: row[1] for row in rows}, sum(row[2] for row in rows)

    def endpoints(self) -> list[str]:
        """Names under which there are jobs."""
        return [row[0] for row in self._db.execute("SELECT DISTINCT endpoint FROM jobs")]

    def recent(self, endpoint: str, limit: int) -> list[Job]:
        """The jobs last submitted, the newest first."""
        return self._jobs("WHERE endpoint = ? ORDER BY seq DESC LIMIT ?", endpoint, limit)

    def due_webhooks(self, now: float, limit: int) -> list[Job]:
        """Jobs whose webhook is to be sent now."""
        return self._jobs("WHERE webhook_due_at <= ? ORDER BY webhook_due_at LIMIT ?", now, limit)

    def next_webhook_at(self) -> float | None:
        """When the next webhook is due."""
        due: float | None = self._db.execute(
            "SELECT min(webhook_due_at) FROM jobs WHERE webhook_due_at IS NOT NULL"
        ).fetchone()[0]
        return due

    def webhook_tried(self, job_id: str, next_due_at: float | None) -> None:
        """Count one delivery; None ends it, by success or by giving up."""
        self._db.execute(
            "UPDATE jobs SET webhook_tries = webhook_tries + 1, webhook_due_at = ?1,"
            " input = CASE WHEN ?1 IS NULL AND status IN ('COMPLETED', 'CANCELLED') THEN ?3 ELSE input END"
            " WHERE id = ?2 AND finished_at IS NOT NULL",
            (next_due_at, job_id, FORGOTTEN),
        )

    def add_stream_part(self, job_id: str, part: str) -> None:
        """Keep one partial output."""
        self._db.execute("INSERT INTO stream_parts (job_id, part) VALUES (?, ?)", (job_id, part))

    def take_stream_parts(self, job_id: str) -> list[str]:
        """All parts not read before, in order; they are handed out once."""
        rows = self._db.execute("DELETE FROM stream_parts WHERE job_id = ? RETURNING n, part", (job_id,)).fetchall()
        return [part for _, part in sorted(rows)]

    def _next_seq(self) -> int:
        self._last_seq += 1
        return self._last_seq

    def _changed(self, statement: str, values: tuple[object, ...]) -> bool:
        return self._db.execute(statement, values).rowcount == 1

    def _jobs(self, condition: str, *values: object) -> list[Job]:
        rows = self._db.execute(f"SELECT {COLUMNS} FROM jobs {condition}", values)  # noqa: S608  constants of this file
        return [Job(*row) for row in rows]


def _first(jobs: list[Job]) -> Job | None:
    return jobs[0] if jobs else None
