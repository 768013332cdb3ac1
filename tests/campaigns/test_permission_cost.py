"""Asking about one batch costs by the batch, not by how many people there are, also where nothing was analysed yet."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns.permission import barred
from runtime.clock import utc_now
from runtime.registry import ChannelKind
from tests.acceptance.exact import settle

PEOPLE, ASKED = 20_000, 500
READ = text("""
    SELECT sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0)) FROM pg_stat_xact_user_tables
    WHERE relname IN ('standing_consents', 'suppressed_addresses', 'suppressions', 'customers')
""")


async def test_few_are_looked_up_by_their_keys(conn: AsyncConnection) -> None:
    await settle(conn, PEOPLE)
    await conn.execute(
        text(
            "INSERT INTO suppressed_addresses (kind, value, reason, at)"
            " SELECT 'email', 'x' || n || '@x', 'bounced', now() FROM generate_series(1, :count) n"
        ),
        {"count": PEOPLE},
    )
    asked = "SELECT id, email FROM customers ORDER BY id LIMIT :count"
    targets = [(row.id, row.email) for row in await conn.execute(text(asked), {"count": ASKED})]
    before = int(await conn.scalar(READ))
    assert await barred(conn, targets, ChannelKind("email", "email"), utc_now()) == {}
    assert int(await conn.scalar(READ)) - before <= 4 * ASKED
