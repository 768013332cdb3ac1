"""Exactness, seen from outside: what a mail server took, beside what the database says of it.

The measure of doubt is `unrecorded`: final dots that the sink has seen beyond the attempts that the ledger knows of.
A sender that dies may leave as many of them as it has connections, and each may become a repeat; nothing else may.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from runtime.database import Database
from tests.acceptance.counting_sink import CountingSink
from tests.acceptance.hall import Hall
from tests.waiting import until

SOAK = bool(os.environ.get("HEARTH_SOAK"))
PEOPLE = 100_000 if SOAK else 5_000
PATIENCE = 1_200.0 if SOAK else 240.0  # seconds after which a test has hung, on a machine that does much else
Print = Callable[[str], None]

_STATES = ("queued", "sending", "sent", "failed", "skipped", "cancelled", "unknown")
_PEOPLE = (
    """
    INSERT INTO customers (external_id, name, name_folded, email, email_folded, city, city_folded)
    SELECT 'p' || n, 'Person ' || n, 'person ' || n, address, address, town, lower(town)
    FROM generate_series(CAST(:first AS int), :first + :count - 1) n,
         LATERAL (SELECT 'p' || n || '@' || coalesce(:domain, 'd' || n % 7) || '.example') a(address),
         LATERAL (SELECT CAST(:city AS text)) t(town)
    """,
    "INSERT INTO activity (customer_id) SELECT id FROM customers ON CONFLICT DO NOTHING",
    """
    INSERT INTO contact_addresses (customer_id, kind, value, is_primary)
    SELECT id, 'email', email, true FROM customers ON CONFLICT DO NOTHING
    """,
    """
    INSERT INTO standing_consents (customer_id, channel, purpose, granted, at, source, source_folded)
    SELECT id, 'email', 'marketing', true, now(), 'test', 'test' FROM customers ON CONFLICT DO NOTHING
    """,
)
_LEDGER = text("""
    SELECT count(*) AS audience, coalesce(sum(attempts), 0) AS attempts,
           count(*) FILTER (WHERE state IN ('queued', 'sending')) AS open
    FROM messages WHERE campaign_id = :id
""")
_KNOWN = text("SELECT address, state, attempts, provider_id FROM messages WHERE campaign_id = :id")


@dataclass(frozen=True, slots=True)
class Ledger:
    """A campaign's messages: how many, how many attempts at them are recorded, how many are not at their end."""

    audience: int
    attempts: int
    open: int


async def settle(
    conn: AsyncConnection, count: int, *, first: int = 1, city: str = "Espoo", domain: str | None = None
) -> None:
    """People `p<first>` and so on, spread over seven domains, all reachable and willing."""
    for statement in _PEOPLE:
        values = {"count": count, "first": first, "city": city, "domain": domain}
        await conn.execute(text(statement), {name: value for name, value in values.items() if f":{name}" in statement})


async def ledger(database: Database, campaign_id: int) -> Ledger:
    async with database.connect() as conn:
        return Ledger(*(int(value) for value in (await conn.execute(_LEDGER, {"id": campaign_id})).one()))


def balanced(counts: dict[str, int]) -> bool:
    """The audience equation."""
    return counts["audience"] == sum(counts[state] for state in _STATES)


async def gone(database: Database, pid: int) -> None:
    """Wait until the database has ended the sessions of a dead process: what they were committing is committed."""
    sessions = text("SELECT count(*) FROM pg_stat_activity WHERE application_name = :name")

    async def none_left() -> bool:
        async with database.connect() as conn:
            return await conn.scalar(sessions, {"name": f"hearth {pid}"}) == 0

    await until(none_left, PATIENCE)


async def check_agreement(database: Database, sink: CountingSink, campaign_id: int, since: int = 0) -> tuple[int, int]:
    """After the end: what the ledger says and what the sink took (from its mail number `since` on) are the same. Each
    person's mails all bear one id, the one in the ledger; answers how many people were lost and how many mails
    repeated beyond the attempts that the ledger owns to."""
    dots = sink.look()[since:]
    taken = Counter(dot.recipient for dot in dots)
    ids = {(dot.recipient, dot.message_id.strip("<>").partition("@")[0]) for dot in dots}
    async with database.connect() as conn:
        known = {row.address: row for row in await conn.execute(_KNOWN, {"id": campaign_id})}
    assert len(ids) == len(taken), "a message changed its id when it was repeated"
    assert set(taken) <= set(known), "mail to people who are not in the ledger"
    assert {pair for pair in ids if known[pair[0]].state == "sent"} == {
        (address, row.provider_id) for address, row in known.items() if row.state == "sent"
    }
    assert not [address for address in taken if known[address].state in ("skipped", "failed")]
    lost = sum(1 for address, row in known.items() if row.state in ("sent", "unknown") and not taken[address])
    repeated = sum(max(0, count - known[address].attempts) for address, count in taken.items())
    return lost, repeated


class Api:
    """The JSON API of a hall, as an administrator's program calls it."""

    def __init__(self, hall: Hall) -> None:
        token = hall.hearth("token", "create", "exact", "--role", "admin")["token"]
        headers = {"Authorization": f"Bearer {token}"}
        self.client = httpx.AsyncClient(base_url=f"{hall.base}/api/v1", headers=headers, timeout=60, trust_env=False)

    async def get(self, path: str) -> Any:
        return self._checked(await self.client.get(path))

    async def post(self, path: str, body: Any = None) -> Any:
        return self._checked(await self.client.post(path, json=body))

    async def patch(self, path: str, body: Any) -> Any:
        return self._checked(await self.client.patch(path, json=body))

    async def launched(self, **changes: Any) -> int:
        """A campaign that was created and launched now; its id."""
        made = await self.post("/campaigns", {"name": "Exact", "channel": "email", **changes})
        await self.post(f"/campaigns/{made['id']}/launch")
        return int(made["id"])

    async def reached(self, campaign_id: int, state: str) -> Any:
        """The campaign, once it is in `state`."""
        found: dict[str, Any] = {}

        async def there() -> bool:
            nonlocal found
            found = await self.get(f"/campaigns/{campaign_id}")
            assert balanced(found["counts"]), found["counts"]
            return bool(found["state"] == state)

        await until(there, PATIENCE)
        return found

    @staticmethod
    def _checked(answer: httpx.Response) -> Any:
        assert answer.is_success, f"{answer.request.method} {answer.request.url.path}: {answer.text}"
        return answer.json()
