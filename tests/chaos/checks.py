"""What must be true after every run, read from rows, files and logs without asking the product's own code."""

import hashlib
import json
import re
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos.site import Site

WORD = re.compile(rb"[A-Za-z0-9_.%-]{16,}")
LONGEST_SHOWN = 12
LINES_PER_JOB, LINES_PER_FAULT = 6, 30
PERMANENT = ("photo_no_person", "rejected")
"""Refusals that were injected: the only ends without success."""
REPOSITORY_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"


@dataclass
class Verdict:
    """Numbers of the run, and every sentence that should not have had to be written."""

    jobs: dict[str, int] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=dict)
    effects: int = 0
    costed: int = 0
    unpriced: int = 0
    """Attempts whose cost is written down, and those for which there was no price."""
    faults: list[str] = field(default_factory=list)

    @property
    def extra_attempts(self) -> int:
        return sum(self.attempts.values()) - sum(self.jobs.values())

    def expect(self, is_so: bool, sentence: str) -> None:
        if not is_so:
            self.faults.append(sentence)

    def expect_none(self, found: list[Any], sentence: str) -> None:
        if found:
            shown = ", ".join(str(one) for one in found[:LONGEST_SHOWN])
            self.faults.append(f"{sentence}: {len(found)} ({shown})")


def judge(site: Site, avatars: set[str], erased: set[str], asked_again: set[str]) -> Verdict:
    """Everything, whatever else has failed already."""
    verdict = Verdict()
    _keep_ledger(site)
    verdict.jobs = {row[0]: row[1] for row in site.rows("SELECT state, count(*) FROM jobs GROUP BY state")}
    verdict.attempts = {row[0]: row[1] for row in site.rows("SELECT state, count(*) FROM job_attempts GROUP BY state")}
    verdict.effects = int(site.rows("SELECT count(*) FROM chaos_effects WHERE word = 'done'")[0][0])
    verdict.faults.extend(site.world.faults.broken_promises())
    _nothing_lost(site, verdict, avatars, erased)
    _nothing_twice(site, verdict)
    _all_accounted(site, verdict, asked_again)
    _manifests_true(site, verdict)
    _no_secret_kept(site, verdict)
    _logs_bounded(site, verdict)
    return verdict


def _keep_ledger(site: Site) -> None:
    """For whoever must find out what happened, beside the logs."""
    rows = site.rows(
        "SELECT j.id, j.state, j.error_code, j.created_at, j.finished_at, a.n, a.state, a.error_code, a.submitted_at, "
        "a.closed_at, a.rp_id, a.id FROM jobs j LEFT JOIN job_attempts a ON a.job_id = j.id ORDER BY j.id, a.n"
    )
    with (site.world.folder / "ledger.tsv").open("w") as file:
        file.writelines("\t".join(map(str, row)) + "\n" for row in rows)


def _nothing_lost(site: Site, verdict: Verdict, avatars: set[str], erased: set[str]) -> None:
    known = {str(row[0]) for row in site.rows("SELECT subject_id FROM jobs")}
    verdict.expect_none(sorted(avatars - known), "accepted, but without a job")
    rows = site.rows("SELECT id, state, error_code FROM jobs WHERE state NOT IN ('succeeded', 'failed', 'cancelled')")
    verdict.expect_none(rows, "jobs that have not ended")
    rows = site.rows("SELECT id, error_code FROM jobs WHERE state = 'failed' AND error_code <> ALL(%s)", [*PERMANENT])
    verdict.expect_none(rows, "jobs given up without a permanent refusal")
    gone = {str(row[0]) for row in site.rows("SELECT subject_id FROM jobs WHERE state = 'cancelled'")}
    verdict.expect_none(sorted(gone - erased), "jobs called off though nobody wished it")
    rows = site.rows("SELECT id, state FROM job_attempts WHERE state IN ('sending', 'submitted', 'unknown')")
    verdict.expect_none(rows, "attempts left open")
    rows = site.rows(
        "SELECT a.id, a.status, j.state FROM avatars a JOIN jobs j ON j.id = a.job_id "
        "WHERE (j.state = 'succeeded') <> (a.status = 'ready')"
    )
    verdict.expect_none(rows, "avatars that are not what their job came to")


def _nothing_twice(site: Site, verdict: Verdict) -> None:
    rows = site.rows(
        "SELECT j.id, count(e.job_id) FROM jobs j LEFT JOIN chaos_effects e ON e.job_id = j.id AND e.word = 'done' "
        "WHERE j.state = 'succeeded' GROUP BY j.id HAVING count(e.job_id) <> 1"
    )
    verdict.expect_none(rows, "succeeded jobs without exactly one effect")
    rows = site.rows(
        "SELECT job_id, count(*) FROM chaos_effects WHERE word = 'done' GROUP BY job_id HAVING count(*) > 1"
    )
    verdict.expect_none(rows, "effects that came twice")
    rows = site.rows(
        "SELECT user_id, count(*) FROM avatars GROUP BY user_id HAVING count(*) > 1 "
        "UNION ALL SELECT subject_id, count(*) FROM jobs GROUP BY subject_id HAVING count(*) > 1"
    )
    verdict.expect_none(rows, "shoppers with two avatars, or avatars with two jobs")
    rows = site.rows(
        "SELECT j.id, e.attempt_id FROM chaos_effects e JOIN jobs j ON j.id = e.job_id "
        "LEFT JOIN job_attempts a ON a.id = e.attempt_id AND a.job_id = j.id AND a.state = 'succeeded' "
        "WHERE e.word = 'done' AND a.id IS NULL"
    )
    verdict.expect_none(rows, "effects of an attempt that did not succeed")


def _all_accounted(site: Site, verdict: Verdict, asked_again: set[str]) -> None:
    """Executions begin anew for what was given up and asked for again."""
    rows = site.rows(
        "SELECT j.id, j.attempt_n, count(a.id) FROM jobs j LEFT JOIN job_attempts a ON a.job_id = j.id "
        "GROUP BY j.id HAVING count(a.id) <> j.attempt_n"
    )
    verdict.expect_none(rows, "jobs whose attempts are not all in the ledger")
    rows = site.rows(
        "SELECT j.id, j.executions, count(a.id) FROM jobs j LEFT JOIN job_attempts a ON a.job_id = j.id AND "
        "a.state <> 'not_accepted' WHERE j.subject_id <> ALL(%s::uuid[]) "
        "GROUP BY j.id HAVING count(a.id) <> j.executions",
        [*asked_again],
    )
    verdict.expect_none(rows, "jobs whose executions are not those of the ledger")
    rows = site.rows(
        "SELECT id FROM job_attempts WHERE state NOT IN ('sending', 'submitted', 'unknown') AND closed_at IS NULL"
    )
    verdict.expect_none(rows, "closed attempts without a time")
    rows = site.rows("SELECT id FROM job_attempts WHERE state = 'succeeded' AND exec_ms > 0 AND cost_microusd <= 0")
    verdict.expect_none(rows, "attempts that ran for nothing")
    verdict.costed, verdict.unpriced = site.rows(
        "SELECT count(cost_microusd), count(*) FILTER (WHERE cost_microusd IS NULL) FROM job_attempts "
        "WHERE costed_at IS NOT NULL"
    )[0]


def _manifests_true(site: Site, verdict: Verdict) -> None:
    """Each ready avatar's files are those that the manifest of the winning attempt names."""
    rows = site.rows(
        "SELECT v.glb_key, v.body_key, v.measurements, v.facts, e.attempt_id FROM avatars v "
        "JOIN chaos_effects e ON e.job_id = v.job_id AND e.word = 'done' WHERE v.status = 'ready'"
    )
    folder = site.world.folder / "data" / "objects"
    wrong = [row[0] for row in rows if not _is_true(folder, *row)]
    verdict.expect_none(wrong, "avatars whose files are not those of their manifest")
    kept = site.rows("SELECT id FROM avatars WHERE status = 'ready' AND (photo_key IS NOT NULL OR glb_key IS NULL)")
    verdict.expect_none(kept, "ready avatars that keep a photo or have no mesh")


def _is_true(folder: Path, glb_key: str, body_key: str, measurements: Any, facts: Any, attempt_id: Any) -> bool:
    home = glb_key.rpartition("/")[0]
    told = json.loads(_stored(folder, f"{home}/manifest.json"))
    files = {"avatar.glb": glb_key, "body.npz": body_key}
    is_own = told["attempt_id"] == str(attempt_id) and f"/{attempt_id}-" in glb_key
    are_same = all(
        hashlib.sha256(_stored(folder, key)).hexdigest() == told["files"][name]["sha256"] for name, key in files.items()
    )
    return is_own and are_same and measurements["height_cm"]["mean"] == facts["height_cm"]


def _stored(folder: Path, key: str) -> bytes:
    """An object of the folder store: a pointer under its key names the blob."""
    pointer = json.loads((folder / "refs" / "avatars" / f"{key}~ref").read_text())
    blob: str = pointer["blob"]
    return (folder / "blobs" / blob[:2] / blob).read_bytes()


def _no_secret_kept(site: Site, verdict: Verdict) -> None:
    """No token that any process saw stands in a log or in a row."""
    world = site.world
    keys = [key for name in world.endpoint_ports for key in astuple(world.endpoint_keys(name))]
    settings = world.settings()
    secrets = set(world.secrets_file.read_bytes().split()) | {
        value.encode()
        for value in (*keys, *world.api_keys.values(), settings.token_signing_key, settings.storage_signing_key)
    }
    for log in sorted(world.logs.iterdir()):
        found = secrets & {*WORD.findall(log.read_bytes())}
        verdict.expect(not found, f"{log.name} holds {len(found)} secrets")
    for (table,) in site.rows(REPOSITORY_TABLES):
        words = {word for (row,) in site.rows(f"SELECT t::text FROM {table} t") for word in WORD.findall(row.encode())}
        verdict.expect(not secrets & words, f"the table {table} holds {len(secrets & words)} secrets")
    verdict.expect(len(secrets) > 10, "no secrets were noted, so none could be found")


def _logs_bounded(site: Site, verdict: Verdict) -> None:
    """What is down for long is not complained of without end."""
    lines = sum(len(log.read_bytes().splitlines()) for log in site.world.logs.glob("dispatcher-*.log"))
    allowed = LINES_PER_JOB * sum(verdict.jobs.values()) + LINES_PER_FAULT * site.world.faults.fired().total()
    verdict.expect(lines <= allowed, f"the dispatchers wrote {lines} lines, {allowed} are enough")
