"""The report pages beside a campaign of a million messages, over HTTP's own path at the server, and their budget of
150 ms.

    .venv/bin/python -m bench.reports [--json] [--scale 0.1]

Of the messages four in ten are opened, one in ten clicked, one person in ten is held out, and one customer in five has
ordered. The last lines are the budgets of counting in the background: a twentieth of the time, every five minutes
(campaigns/figures.py) or every minute (campaigns/workspace.py) at most. All is CPU time of the web process and the
database together, to which no other process adds.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import insert, text

import hearth
from bench.harness import Result, main
from bench.processes import family_cpu_seconds, server_pid
from campaigns import figures, store, workspace
from campaigns.draft import compiled
from runtime.clock import utc_now
from runtime.house import House, open_house
from runtime.settings import load_settings
from runtime.tidy import tidy
from sales.months import close_months
from web.app import create_app
from web.models import users
from web.sessions import open_session

PEOPLE = 1_000_000
BUDGET_MS = 150.0
BACKGROUND = 0.05  # of the least time between two counts
ROUNDS = 9
PAGES = {
    "dashboard": "/dashboard",
    "campaigns": "/campaigns",
    "report-page": "/campaigns/{id}",
    "report-findings": "/campaigns/{id}/findings",
    "report-heat": "/campaigns/{id}/heat",
    "report-csv": "/campaigns/{id}/report/cities.csv",
    "programme": "/reports",
    "growth": "/reports/growth",
}
BODY = {
    "name": "Spring",
    "channel": "email",
    "rule": {"all": []},
    "content": {"subject": "Hello", "html": "<p>Hi</p><a href='https://shop.example/a'>Look</a>"},
}


async def measure(scale: float) -> Sequence[Result]:
    hearth.install()
    with tempfile.TemporaryDirectory(prefix="hearth-bench-") as folder:
        settings = replace(load_settings(), database_url=None, data_dir=Path(folder))
        async with open_house(settings) as house:
            campaign_id = await _make(house, max(30_000, int(PEOPLE * scale)))
            counting = await _counting(house, figures.count_figures, campaign_id=campaign_id)
            overview = await _counting(house, workspace.count_overview)
            await close_months(house)
            pages = await _pages(house, campaign_id)
    budget, rest, minute = "the budget of the issue", _of_background(counting, 300), _of_background(overview, 60)
    return [
        *(Result(name, spent, "ms CPU", budget, BUDGET_MS, BUDGET_MS / spent, 1, 3) for name, spent in pages.items()),
        Result("report-count", counting, "ms CPU", "5 % of five minutes", *rest, bar=0, goal=1),
        Result("overview-count", overview, "ms CPU", "5 % of a minute", *minute, bar=0, goal=1),
    ]


async def _counting(house: House, job: Any, **values: int) -> float:
    """Milliseconds of CPU that the background takes once."""
    server = await server_pid(house)
    before = _spent(server)
    await job(house, **values)
    return (_spent(server) - before) * 1000


def _of_background(spent_ms: float, rest_seconds: float) -> tuple[float, float]:
    budget = BACKGROUND * rest_seconds * 1000
    return budget, budget / spent_ms


async def _pages(house: House, campaign_id: int) -> dict[str, float]:
    """Milliseconds of CPU, of the web process and the database together, from the request to the whole answer, by what
    was asked for; the mean."""
    server, found = await server_pid(house), {}
    transport = httpx.ASGITransport(app=create_app(house))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
        client.cookies.set("hearth", await _signed_in(house), domain="127.0.0.1")
        for name, path in PAGES.items():
            address = path.format(id=campaign_id)
            (await client.get(address)).raise_for_status()
            before, begun = _spent(server), time.monotonic()
            for _ in range(ROUNDS):
                (await client.get(address)).raise_for_status()
            found[name] = (_spent(server) - before) / ROUNDS * 1000
            print(f"bench: {address} took {(time.monotonic() - begun) / ROUNDS * 1000:.0f} ms", file=sys.stderr)
    return found


async def _signed_in(house: House) -> str:
    """The session of an analyst."""
    async with house.database.begin() as conn:
        row = {
            "email": "a@b.example",
            "email_folded": "a@b.example",
            "name": "A",
            "password_hash": "",
            "role": "analyst",
        }
        made = insert(users).values(**row, created_at=utc_now()).returning(users.c.id)
        return await open_session(conn, int(await conn.scalar(made) or 0), "127.0.0.1", "bench", utc_now())


def _spent(server: int) -> float:
    return time.process_time() + family_cpu_seconds(server)


async def _make(house: House, people: int) -> int:
    begun = time.monotonic()
    async with house.database.begin() as conn:
        campaign_id = await store.create_campaign(conn, BODY, settings=house.settings, by="bench")
        content = await store.content_of(conn, await store.campaign(conn, campaign_id))
        approved = json.dumps(compiled(content, house.settings, []).to_json())
        values = {"people": people, "campaign": campaign_id, "compiled": approved}
        for statement in _STATEMENTS.split(";"):
            await conn.execute(text(statement), values)
    await tidy(house.database, [])
    print(f"bench: {people:,} messages made in {time.monotonic() - begun:.0f} s", file=sys.stderr)
    return campaign_id


_STATEMENTS = """
    INSERT INTO snapshots (campaign_id, compiled, sender, audience, options)
        VALUES (:campaign, CAST(:compiled AS jsonb), 'a@example.com', '{}', '{}');
    INSERT INTO runs (id, campaign_id, snapshot_id, occurrence, state, people, frozen_at) OVERRIDING SYSTEM VALUE
        SELECT 1, :campaign, max(id), now() - interval '2 days', 'finished', :people, now() - interval '2 days'
        FROM snapshots;
    UPDATE campaigns SET state = 'finished', launched_at = now() - interval '2 days', snapshot_id = (SELECT max(id)
        FROM snapshots) WHERE id = :campaign;
    INSERT INTO link_tables (run_id, links) VALUES (1, '["https://shop.example/a", "https://shop.example/b"]');
    INSERT INTO customers (id, name, name_folded, city, city_folded, salesperson) OVERRIDING SYSTEM VALUE
        SELECT n, 'P', 'p', 'City ' || n % 40, 'city', 's' || n % 50
        FROM generate_series(1, CAST(:people AS integer)) n;
    INSERT INTO messages (customer_id, run_id, campaign_id, channel, address, batch, state, sent_at, opened_at,
            clicked_at, opens, clicks, reason)
        SELECT n, 1, :campaign, 'email', 'p' || n || '@d' || n % 30 || '.example', n / 1000,
            CASE WHEN n % 10 = 9 THEN 'skipped' WHEN n % 90 = 0 THEN 'bounced' ELSE 'sent' END,
            CASE WHEN n % 10 < 9 THEN now() - interval '2 days' END,
            CASE WHEN n % 10 < 4 THEN now() - interval '1 second' * (n * 7 % 170000) END,
            CASE WHEN n % 40 < 4 THEN now() - interval '1 second' * (n * 7 % 170000) END,
            CAST(n % 10 < 4 AS integer), CAST(n % 40 < 4 AS integer), CASE WHEN n % 10 = 9 THEN 'holdout' END
        FROM generate_series(1, CAST(:people AS integer)) n;
    INSERT INTO events (customer_id, at, key, kind, kind_folded, channel, campaign_id, run_id, step, link, attributes)
        SELECT m.customer_id, m.opened_at, gen_random_uuid(), kind.kind, kind.kind, 'email', :campaign, 1, 0,
            CASE WHEN kind.kind = 'clicked' THEN 'https://shop.example/a' END,
            jsonb_build_object('user_agent', 'Mozilla/5.0 (Windows NT 10.0) Chrome/1' || m.customer_id % 300 || '.0')
        FROM messages m CROSS JOIN (VALUES ('opened'), ('clicked')) kind(kind)
        WHERE m.opened_at IS NOT NULL AND (kind.kind = 'opened' OR m.clicked_at IS NOT NULL);
    INSERT INTO orders (customer_id, number, status, ordered_at, amount, margin)
        SELECT n, 'o' || n, 'completed', now() - interval '1 second' * (n * 11 % 9000000), 100, 20
        FROM generate_series(1, CAST(:people AS integer), 5) n
"""


if __name__ == "__main__":
    sys.exit(main(__doc__, measure))
