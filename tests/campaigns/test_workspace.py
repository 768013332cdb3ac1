"""The dashboard's figures of the whole workspace, kept and counted; counts of large campaigns that viewers share."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns import counted, figures, workspace
from campaigns.attribution import Model
from campaigns.counted import counts_now
from campaigns.models import overview_figures
from campaigns.report import campaign_lines, campaign_record
from campaigns.store import campaign, create_campaign
from runtime.settings import Settings
from tracking.counts import Counts, counts_by_run

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)
ZONE = "Asia/Shanghai"
BODY: dict[str, Any] = {
    "name": "Spring",
    "channel": "email",
    "rule": {"all": []},
    "content": {"subject": "Hi", "text": "Hi"},
}
STATEMENTS = """
    INSERT INTO snapshots (id, campaign_id, compiled, sender, audience, options) OVERRIDING SYSTEM VALUE
        VALUES (1, :campaign, '{}', '', '{}', '{}');
    INSERT INTO runs (id, campaign_id, snapshot_id, occurrence, state, people, frozen_at) OVERRIDING SYSTEM VALUE
        VALUES (1, :campaign, 1, :now, 'sending', 4, :now);
    INSERT INTO customers (id, name, name_folded, salesperson) OVERRIDING SYSTEM VALUE
        SELECT n, 'P', 'p', 's' || n % 2 FROM generate_series(1, 4) n;
    INSERT INTO messages (customer_id, run_id, campaign_id, channel, address, batch, state, sent_at, opened_at)
        SELECT n, 1, :campaign, 'email', n || '@a.example', 0, CASE WHEN n > 3 THEN 'queued' ELSE 'sent' END,
            CASE WHEN n <= 3 THEN :now - interval '1 day' * n END, CASE WHEN n = 1 THEN :now END
        FROM generate_series(1, 4) n;
    INSERT INTO orders (customer_id, number, status, ordered_at, amount, refunded)
        VALUES (1, 'A', 'completed', :now - interval '2 days', 100.5, 0),
               (2, 'B', 'completed', :now - interval '2 days', 50, 10)
"""


@pytest.fixture
async def spring(conn: AsyncConnection, settings: Settings) -> int:
    """A campaign of which three messages are sent, one of them opened, and one waits."""
    campaign_id = await create_campaign(conn, BODY, settings=settings, by="test")
    for statement in STATEMENTS.split(";"):
        await conn.execute(text(statement), {"campaign": campaign_id, "now": NOW})
    return campaign_id


@pytest.fixture
def all_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counted, "LARGE", 3)
    monkeypatch.setattr(counted, "LARGE_IN_A_LIST", 3)


async def _finish(conn: AsyncConnection) -> None:
    await conn.execute(text("UPDATE messages SET state = 'sent', sent_at = :now WHERE state = 'queued'"), {"now": NOW})
    await conn.execute(text("UPDATE runs SET state = 'finished', finished_at = :now"), {"now": NOW})


async def _seen(conn: AsyncConnection, now: datetime = NOW) -> workspace.Overview:
    return await workspace.overview(conn, now=now, timezone=ZONE)


async def _took(conn: AsyncConnection, ms: int) -> None:
    await conn.execute(update(overview_figures).values(took_ms=ms))


async def test_kept_figures_are_those_that_were_counted(conn: AsyncConnection, spring: int) -> None:
    made = await workspace.keep(conn, now=NOW, timezone=ZONE)
    assert (made.totals.customers, made.totals.orders, str(made.totals.revenue)) == (4, 2, "140.5000")
    assert [(day.sent, day.opened) for day in made.days[-4:]] == [(1, 0), (1, 0), (1, 1), (0, 0)]
    await _took(conn, workspace.QUICK_MS)
    assert await _seen(conn) == replace(made, kept=True)


async def test_a_large_workspace_is_shown_as_kept_and_a_small_one_as_it_is(conn: AsyncConnection, spring: int) -> None:
    await _seen(conn)
    for took, sent in ((workspace.QUICK_MS, 3), (workspace.QUICK_MS - 1, 4)):
        await _took(conn, took)
        await _finish(conn)
        found = await _seen(conn)
        assert (sum(day.sent for day in found.days), found.kept) == (sent, sent == 3)


async def test_figures_that_nobody_counts_any_more_are_not_shown(conn: AsyncConnection, spring: int) -> None:
    await _seen(conn)
    await _took(conn, 5_000)
    later = NOW + workspace.OLDEST + timedelta(seconds=1)
    assert (await _seen(conn, later)).counted_at == later
    await workspace.forget(conn)
    assert not (await _seen(conn, later)).kept


async def test_counting_takes_a_twentieth_of_the_time_at_most(conn: AsyncConnection, spring: int) -> None:
    assert await workspace.due(conn, NOW)
    await workspace.keep(conn, now=NOW, timezone=ZONE)
    await _took(conn, 10)
    assert not await workspace.due(conn, NOW + timedelta(seconds=49))
    assert await workspace.due(conn, NOW + timedelta(seconds=51))
    await _took(conn, 6_000)
    assert not await workspace.due(conn, NOW + timedelta(seconds=119))
    assert await workspace.due(conn, NOW + timedelta(seconds=121))


async def test_who_asks_within_moments_shares_one_look(conn: AsyncConnection, spring: int, all_large: None) -> None:
    first = await counts_now(conn, [spring])
    assert first == {spring: {1: Counts(audience=4, queued=1, sent=3, opened=1)}}
    await conn.execute(text("UPDATE messages SET state = 'sent' WHERE state = 'queued'"))
    assert await counts_now(conn, [spring]) == first  # shared, and adds up
    await conn.execute(text("UPDATE runs SET state = 'paused'"))
    assert (await counts_now(conn, [spring]))[spring][1].sent == 4


async def test_a_small_campaign_is_always_counted(conn: AsyncConnection, spring: int) -> None:
    await counts_now(conn, [spring])
    await _finish(conn)
    assert (await counts_now(conn, [spring, spring + 1]))[spring][1].sent == 4


async def test_a_run_that_is_over_never_shows_messages_that_wait(
    conn: AsyncConnection, spring: int, all_large: None
) -> None:
    await campaign_record(conn, spring)
    await _finish(conn)
    assert (await campaign_record(conn, spring))["counts"]["queued"] == 0


async def test_what_is_over_is_told_as_kept_until_something_comes_back(
    conn: AsyncConnection, spring: int, all_large: None
) -> None:
    await _finish(conn)
    await figures.keep(conn, spring, NOW + timedelta(minutes=5))
    await conn.execute(text("UPDATE messages SET clicked_at = :now, opened_at = :now"), {"now": NOW})
    assert (await counts_now(conn, [spring]))[spring][1].opened == 1
    event = """
        INSERT INTO events (customer_id, at, key, kind, kind_folded, campaign_id, run_id, step, recorded_at)
        VALUES (1, :at, gen_random_uuid(), 'opened', 'opened', :campaign, 1, 0, :recorded)
    """
    values = {"at": NOW, "recorded": NOW + timedelta(minutes=6), "campaign": spring}
    await conn.execute(text(event), values)
    assert await counts_now(conn, [spring]) == {spring: await counts_by_run(conn, spring)}
    line = (await campaign_lines(conn, [await campaign(conn, spring)]))[0]
    assert line["counts"]["opened"] == 1  # of a list: as its report has it


async def test_money_of_a_large_campaign_is_that_of_its_report(
    conn: AsyncConnection, spring: int, all_large: None
) -> None:
    click = """
        INSERT INTO events (customer_id, at, key, kind, kind_folded, channel, campaign_id, run_id, step)
        VALUES (1, :at, gen_random_uuid(), 'clicked', 'clicked', 'email', :campaign, 1, 0)
    """
    await conn.execute(text(click), {"at": NOW - timedelta(days=3), "campaign": spring})
    assert (await campaign_record(conn, spring))["revenue"] == "100.50"
    known = await figures.keep(conn, spring, NOW)
    await conn.execute(text("DELETE FROM orders"))
    assert (await campaign_record(conn, spring))["revenue"] == "100.50"
    assert known.earned[Model.LAST].orders == 1


async def test_kept_figures_from_before_the_end_do_not_serve(
    conn: AsyncConnection, spring: int, all_large: None
) -> None:
    await figures.keep(conn, spring, NOW + timedelta(minutes=5))
    await _finish(conn)
    assert (await counts_now(conn, [spring], lately=True))[spring][1].queued == 0
