"""Follow-ups and salespeople's scores at a large firm: 1,000,000 customers of 1,500 salespeople.

    .venv/bin/python -m bench.sales [--json] [--scale 0.1]

The reference set of bench/segments.py and a month of what came back on it: 300,000 clicks, 60,000 follow-ups, 60,000
ratings and visits. Pages: milliseconds of CPU from the question to the HTML, of the application and of PostgreSQL,
beside what a page may take. Jobs: the same; they run in the background, and block nobody.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

import httpx
from sqlalchemy import insert, text

import hearth
from bench.harness import Result, main
from bench.million import million, say, vacuum
from bench.processes import family_cpu_seconds, server_pid
from customers.changes import note_changed
from runtime.clock import utc_now
from runtime.house import House
from sales.months import keep
from sales.opening import open_all, open_news
from sales.period import Period, period_of
from segments.context import context_at
from web.app import create_app
from web.models import users
from web.sessions import open_session

ROUNDS = 5
PAGES = {  # path: milliseconds that it may take
    "/salespeople": 300.0,
    "/salespeople?period={closed}": 300.0,
    "/salespeople/{id}": 300.0,
    "/salespeople/{id}/coverage": 150.0,
    "/salespeople/{id}/conversion": 150.0,
    "/salespeople/{id}/satisfaction": 150.0,
    "/salespeople/{id}/margin?period={closed}": 150.0,
    "/score-weights": 150.0,
    "/today?salesperson={code}": 150.0,
    "/follow-ups": 300.0,
    "/follow-ups?salesperson={code}": 150.0,
    "/service-providers": 300.0,
}
NEWS = 100  # customers who gave a signal at the same moment
NEWS_MS = 500.0
SWEEP_MS = 60_000.0
CLOSING_MS = 60_000.0


async def measure(scale: float) -> Sequence[Result]:
    hearth.install()
    async with million(scale) as house:
        say("a month of what came back")
        await _come_back(house)
        try:
            results = await _jobs(house, scale)
            return [*results, *await _pages(house)]
        finally:
            await _forget(house)


async def _jobs(house: House, scale: float) -> list[Result]:
    now, server = utc_now(), await server_pid(house)
    present = period_of(now, house.settings.zone)
    closed = _closed(house)

    async def sweep() -> None:
        async with house.database.begin() as conn:
            await open_all(conn, context_at(now, house.settings))

    async def close(period: Period) -> None:
        async with house.database.begin() as conn:
            await keep(conn, period, now)

    async def news() -> None:
        async with house.database.begin() as conn:
            await open_news(conn, context_at(utc_now(), house.settings))

    async def noted() -> None:
        async with house.database.begin() as conn:
            await note_changed(conn, "events", range(1, NEWS + 1))

    await news()  # the first look is of nobody
    results = []
    for name, work, allowed in (
        ("job: everybody is looked at", sweep, SWEEP_MS * scale),
        ("job: a month is closed", lambda: close(closed), CLOSING_MS * scale),
        ("job: the present month", lambda: close(present), CLOSING_MS * scale),
    ):
        say(name)
        took = await _cpu(server, work)
        results.append(Result(name, took, "ms", "allowed", allowed, allowed / took, 1.0, 4.0))
    opened = []
    for _ in range(ROUNDS):
        await noted()
        opened.append(await _cpu(server, news))
    took = statistics.median(opened)
    return [Result(f"job: {NEWS} signals", took, "ms", "allowed", NEWS_MS, NEWS_MS / took, 1.0, 4.0), *results]


async def _pages(house: House) -> list[Result]:
    results, server = [], await server_pid(house)
    async with house.database.connect() as conn:
        row = (await conn.execute(text("SELECT id, code FROM salespeople ORDER BY id LIMIT 1 OFFSET 5"))).one()
    async with _visitor(house) as client:
        for path, allowed in PAGES.items():
            asked = path.format(id=row.id, code=row.code, closed=_closed(house).name)

            async def shown(asked: str = asked) -> None:
                answer = await client.get(asked)
                answer.raise_for_status()

            say(asked)
            await shown()
            took = await _cpu(server, shown, ROUNDS)
            results.append(Result(f"page: {path}", took, "ms", "allowed", allowed, allowed / took, 1.0, 2.0))
    return results


@asynccontextmanager
async def _visitor(house: House) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody signed in who sees everything."""
    now = utc_now()
    async with house.database.begin() as conn:
        row = {"email": "bench@example.com", "email_folded": "bench@example.com", "name": "Bench", "role": "admin"}
        made = await conn.execute(insert(users).values(**row, password_hash="-", created_at=now).returning(users.c.id))
        secret = await open_session(conn, made.scalar_one(), "127.0.0.1", "bench", now)
    app = create_app(house)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app),
            base_url=house.settings.public_url,
            cookies={"hearth": secret},
            timeout=120,
        ) as client,
    ):
        yield client


def _closed(house: House) -> Period:
    zone = house.settings.zone
    last = period_of(period_of(utc_now(), zone).start - timedelta(days=1), zone)
    return period_of(last.start - timedelta(days=1), zone)


async def _come_back(house: House) -> None:
    await _forget(house)
    async with house.database.begin() as conn:
        for statement in _MONTH:
            await conn.execute(text(statement), {"now": utc_now()} if ":now" in statement else {})
    await vacuum(house)


async def _forget(house: House) -> None:
    async with house.database.begin() as conn:
        await conn.execute(text(f"TRUNCATE {_CAME_BACK}"))
        await conn.execute(text("DELETE FROM users WHERE email = 'bench@example.com'"))


async def _cpu(server: int, work: Callable[[], Awaitable[object]], times: int = 1) -> float:
    """Milliseconds of CPU of one `work()`, here and in the database's processes."""
    begun = time.process_time() + family_cpu_seconds(server)
    for _ in range(times):
        await work()
    return (time.process_time() + family_cpu_seconds(server) - begun) * 1000 / times


_CAME_BACK = "events, follow_ups, closed_months, follow_up_states, ratings, service_visits"
_MONTH = (
    """
    INSERT INTO events (customer_id, at, key, kind, kind_folded, channel, campaign_id, run_id, step, link, link_folded)
    SELECT id, CAST(:now AS timestamptz) - (id % 55) * interval '1 day', gen_random_uuid(), 'clicked', 'clicked',
        'email', 1, 1, 0, 'https://shop.example/air_conditioner', 'https://shop.example/air_conditioner'
    FROM customers WHERE merged_into IS NULL AND id % 10 < 3
    """,
    """
    INSERT INTO follow_ups (customer_id, rule, salesperson, state, evidence, value, due_hours, signal_at, opened_at,
                            given_at, due_at, outcome, closed_at, closed_by)
    SELECT id, 'replacement', salesperson, 'done', '[]', 500, 24, opened, opened, opened, opened + interval '1 day',
        'called', opened + interval '5 hours', 'Bench'
    FROM (SELECT id, salesperson, CAST(:now AS timestamptz) - (1 + id % 50) * interval '1 day' AS opened
          FROM customers WHERE merged_into IS NULL AND id % 17 = 0) c
    """,
    """
    INSERT INTO ratings (customer_id, at, key, survey, score, counts, how, recipient, run_id, step)
    SELECT id, CAST(:now AS timestamptz) - (id % 50) * interval '1 day', gen_random_uuid(), 'csat', 2 + id % 4, true,
        'button', id, 1, 0
    FROM customers WHERE merged_into IS NULL AND id % 33 = 0
    """,
    """
    INSERT INTO service_visits (customer_id, number, kind, kind_folded, provider, provider_folded, status,
                                status_folded, requested_at, visited_at, completed_at, satisfaction)
    SELECT id, 'v' || id, 'repair', 'repair', 'Provider ' || id % 40, 'provider ' || id % 40, 'completed', 'completed',
        at, at + interval '1 day', at + interval '1 day', 2 + id % 4
    FROM (SELECT id, CAST(:now AS timestamptz) - (2 + id % 50) * interval '1 day' AS at
          FROM customers WHERE merged_into IS NULL AND id % 31 = 0) c
    """,
    "ANALYZE customers, events, follow_ups, ratings, service_visits",
)


if __name__ == "__main__":
    sys.exit(main(__doc__, measure))
