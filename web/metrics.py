"""What /metrics tells: requests by route, and the queue as it stands when it is asked for."""

from __future__ import annotations

from functools import cache

from prometheus_client import CONTENT_TYPE_LATEST, Counter, Gauge, Histogram, generate_latest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import Response

from runtime.worker import STALLED_SECONDS

REQUESTS = Counter("hearth_http_requests", "Requests answered", ["route", "status"])
SECONDS = Histogram("hearth_http_seconds", "Time from request to answer", ["route"])
WAITING = Gauge("hearth_queue_waiting", "Jobs that wait, counted up to 10,000")
WORKERS = Gauge("hearth_workers", "Workers that have been heard from lately")

_QUEUE = text(
    """
    SELECT (SELECT count(*) FROM (SELECT FROM procrastinate_jobs WHERE status = 'todo' LIMIT 10000) counted) AS waiting,
           (SELECT count(*) FROM procrastinate_workers
            WHERE last_heartbeat >= now() - make_interval(secs => :seconds)) AS workers
    """
)


async def queue_state(conn: AsyncConnection) -> dict[str, int]:
    """Jobs waiting (at most 10,000 are counted) and workers alive."""
    row = (await conn.execute(_QUEUE, {"seconds": STALLED_SECONDS})).one()
    return {"waiting": row.waiting, "workers": row.workers}


async def exposition(conn: AsyncConnection) -> Response:
    """This process's metrics in Prometheus' text format."""
    queue = await queue_state(conn)
    WAITING.set(queue["waiting"])
    WORKERS.set(queue["workers"])
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


def count_request(route: str, status: int, seconds: float) -> None:
    counted, observed = _of(route, status)
    counted.inc()
    observed.observe(seconds)


@cache
def _of(route: str, status: int) -> tuple[Counter, Histogram]:
    return REQUESTS.labels(route, str(status)), SECONDS.labels(route)
