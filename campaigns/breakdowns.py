"""What came of a campaign by where its people live, who looks after them, and what they read it on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import anyio.to_thread
import ua_parser
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

OTHER = "Other"  # ua-parser's own word for what it does not know
AGENTS = 400  # the most frequent ones; what only few read it on does not show anyway
ROWS = 15


async def cities(conn: AsyncConnection, campaign_id: int, limit: int = ROWS) -> list[dict[str, Any]]:
    """`{"city", "sent", "opened", "clicked", "unsubscribed"}` of those with the most messages; None: not known."""
    return [dict(row._mapping) for row in await conn.execute(_CITIES, {"id": campaign_id, "limit": limit})]


async def salespeople(conn: AsyncConnection, campaign_id: int, limit: int = ROWS) -> list[dict[str, Any]]:
    """`{"code", "name", "sent", "opened", "clicked", "unsubscribed"}` likewise; None: nobody looks after them."""
    return [dict(row._mapping) for row in await conn.execute(_SALESPEOPLE, {"id": campaign_id, "limit": limit})]


async def devices(conn: AsyncConnection, campaign_id: int) -> dict[str, list[dict[str, Any]]]:
    """`{"systems": [{"name", "people"}], "programs": …}`: what people opened and clicked with, the most frequent first.
    A person with two devices counts for both."""
    rows = (await conn.execute(_AGENTS, {"id": campaign_id, "limit": AGENTS})).all()
    return await anyio.to_thread.run_sync(_named, [(row.agent, row.people) for row in rows])


@lru_cache(maxsize=8192)
def kind_of(agent: str) -> tuple[str, str]:
    """The operating system and the program of a user agent, by ua-parser's regexes."""
    found = ua_parser.parse(agent)
    return found.os.family if found.os else OTHER, found.user_agent.family if found.user_agent else OTHER


def _named(agents: Iterable[tuple[str, int]]) -> dict[str, list[dict[str, Any]]]:
    systems: Counter[str] = Counter()
    programs: Counter[str] = Counter()
    for agent, people in agents:
        system, program = kind_of(agent)
        systems[system] += people
        programs[program] += people
    return {"systems": _listed(systems), "programs": _listed(programs)}


def _listed(counted: Counter[str]) -> list[dict[str, Any]]:
    return [{"name": name, "people": people} for name, people in counted.most_common(ROWS)]


_REACHED = """
    count(m.sent_at) AS sent, count(m.opened_at) AS opened, count(m.clicked_at) AS clicked,
    count(m.unsubscribed_at) AS unsubscribed
"""

_CITIES = text(f"""
    SELECT nullif(c.city, '') AS city, {_REACHED}
    FROM messages m JOIN customers c ON c.id = m.customer_id
    WHERE m.campaign_id = :id AND m.sent_at IS NOT NULL
    GROUP BY 1 ORDER BY sent DESC, city LIMIT :limit
""")  # noqa: S608 -- our own words

_SALESPEOPLE = text(f"""
    SELECT reached.*, s.name FROM (
        SELECT c.salesperson AS code, {_REACHED}
        FROM messages m JOIN customers c ON c.id = m.customer_id
        WHERE m.campaign_id = :id AND m.sent_at IS NOT NULL
        GROUP BY 1 ORDER BY sent DESC, code LIMIT :limit
    ) reached LEFT JOIN salespeople s ON s.code = reached.code ORDER BY sent DESC, code
""")  # noqa: S608

_AGENTS = text("""
    SELECT agent, CAST(sum(people) AS bigint) AS people FROM (
        SELECT attributes ->> 'user_agent' AS agent, count(DISTINCT customer_id) AS people FROM events
        WHERE campaign_id = :id AND kind IN ('opened', 'viewed', 'clicked') AND NOT machine
          AND attributes ->> 'user_agent' IS NOT NULL
        GROUP BY 1
        UNION ALL
        SELECT agent, people FROM past_agents WHERE campaign_id = :id
    ) parts
    GROUP BY 1 ORDER BY people DESC, agent LIMIT :limit
""")
