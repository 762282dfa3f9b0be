"""What an operator sees in a browser: who waits, who works, what came of it. No input, output or address is shown."""

import base64
import binascii
import hmac
from collections.abc import Callable, Iterable
from html import escape

from aiohttp import web

from gpu_worker.local_endpoint.queue import Queue, WorkerSeen
from gpu_worker.local_endpoint.store import Job

RECENT_JOBS = 50
REFRESH_S = 2
STYLE = """
:root { color-scheme: light dark; font: 15px/1.45 system-ui, sans-serif; }
body { max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
dl { display: flex; flex-wrap: wrap; gap: .75rem; margin: 0; }
dl div { padding: .5rem .9rem; border: 1px solid #8886; border-radius: .5rem; min-width: 6rem; }
dt { font-size: .8rem; opacity: .75; } dd { margin: 0; font-size: 1.5rem; font-variant-numeric: tabular-nums; }
table { border-collapse: collapse; width: 100%; } caption { text-align: start; font-weight: 600; padding: .5rem 0; }
th, td { text-align: start; padding: .3rem .6rem; border-bottom: 1px solid #8884; font-variant-numeric: tabular-nums; }
.bad { font-weight: 700; }
"""


class StatusPage:
    """`GET /`, behind the client key as the password of HTTP Basic."""

    def __init__(self, queue: Queue, client_key: str, clock: Callable[[], float]) -> None:
        self._queue = queue
        self._key = client_key.encode()
        self._clock = clock

    def routes(self) -> list[web.RouteDef]:
        """Every route of this page."""
        return [web.get("/", self.show)]

    async def show(self, request: web.Request) -> web.Response:
        """The page as it stands; it asks for itself again."""
        if not hmac.compare_digest(_password(request), self._key):
            return web.Response(
                status=401,
                text="The password is client_key in endpoint/keys.json of the data folder; any user name will do.\n",
                headers={"WWW-Authenticate": 'Basic realm="TryOn local endpoint", charset="UTF-8"'},
            )
        return web.Response(
            text=self._page(),
            content_type="text/html",
            headers={
                "Cache-Control": "no-store",
                "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
            },
        )

    def _page(self) -> str:
        sections = "".join(self._section(endpoint) for endpoint in self._queue.endpoints())
        return (
            f'<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="{REFRESH_S}">'
            f"<title>TryOn local endpoint</title><style>{STYLE}</style><body><h1>Local endpoint</h1>"
            f"{sections or '<p>No job and no worker yet.</p>'}</body></html>"
        )

    def _section(self, endpoint: str) -> str:
        health, now = self._queue.health(endpoint), self._clock()
        counts = [
            ("waiting", health["jobs"]["inQueue"]),
            ("running", health["jobs"]["inProgress"]),
            ("completed", health["jobs"]["completed"]),
            ("failed", health["jobs"]["failed"]),
            ("handed over again", health["jobs"]["retried"]),
            ("workers idle", health["workers"]["idle"]),
            ("workers unhealthy", health["workers"]["unhealthy"]),
        ]
        figures = "".join(f"<div><dt>{name}</dt><dd>{count}</dd></div>" for name, count in counts)
        workers = _table(
            "Workers",
            ("worker", "state", "last heard", "job"),
            (_worker_row(worker, now) for worker in self._queue.workers_seen(endpoint)),
        )
        jobs = _table(
            f"The last {RECENT_JOBS} jobs",
            ("job", "state", "worker", "waited", "ran", "handed over"),
            (_job_row(job, now) for job in self._queue.recent(endpoint, RECENT_JOBS)),
        )
        return f"<h2>{escape(endpoint)}</h2><dl>{figures}</dl>{workers}{jobs}"


def _password(request: web.Request) -> bytes:
    scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return b""
    try:
        return base64.b64decode(credentials, validate=True).partition(b":")[2]
    except (binascii.Error, ValueError):
        return b""


def _table(caption: str, heads: Iterable[str], rows: Iterable[tuple[str, ...]]) -> str:
    head = "".join(f'<th scope="col">{name}</th>' for name in heads)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><caption>{caption}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _worker_row(worker: WorkerSeen, now: float) -> tuple[str, ...]:
    return worker.id, worker.state, f"{_seconds(now - worker.seen_at)} ago", ", ".join(worker.job_ids) or "–"


def _job_row(job: Job, now: float) -> tuple[str, ...]:
    waited = (job.handed_at or job.finished_at or now) - job.submitted_at
    ran = _seconds((job.finished_at or now) - job.handed_at) if job.handed_at is not None else "–"
    return job.id, job.status, job.worker_id or "–", _seconds(waited), ran, str(job.deliveries)


def _seconds(seconds: float) -> str:
    return f"{max(seconds, 0.0):.1f} s"
