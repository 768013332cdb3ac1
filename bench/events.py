"""Fifty million events over two years beside a million over two months: what is done every day costs the same.

Each line is the database's CPU for one piece of work in the large house (`ours`) and in the small one (`baseline`),
measured in turns: taking in 64 opens, a page of the timeline of a customer with 10,000 events, the figures of a
campaign's report, the recount of one campaign. `let-go`: for how long writers of events wait when a month that was put
away goes, and `put-away`: the CPU for each 1,000 of its events before that.

Rows of events and messages that were read from end to end are told.
"""

from __future__ import annotations

import random
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

import hearth
from bench.ground import throwaway_house
from bench.harness import Result, main, take_turns
from bench.million import say
from bench.processes import cpu_seconds
from campaigns.report import domains, hourly, links
from customers.timeline import timeline
from runtime.clock import utc_now
from runtime.database import Database
from runtime.errors import Unavailable
from runtime.house import House
from tracking.counts import campaign_counts
from tracking.facts import Fact, FactKind
from tracking.leaving import take_out
from tracking.ledger import MessageKey
from tracking.partitions import close_up, month_of, name_of, put_together
from tracking.recount import recount_campaign
from tracking.seen import store_seen

LARGE, LARGE_MONTHS = 50_000_000, 25
SMALL, SMALL_MONTHS = 1_000_000, 2
OF_MESSAGE = 10  # events
OF_PERSON = 10  # messages
OF_RUN = 10_000  # messages
TOUCHED = 10_000  # events of the customer whose timeline is looked at
GROUP = 64  # facts
ROUNDS = 3
SEED = 11
BAR, GOAL = 0.5, 0.8


@dataclass(frozen=True)
class Size:
    """How much there is, over how many months up to the present one."""

    events: int
    months: int

    @property
    def runs(self) -> int:
        """Of each month."""
        return max(1, self.events // (OF_MESSAGE * OF_RUN * self.months))

    @property
    def people(self) -> int:
        return max(OF_RUN, self.runs * self.months * OF_RUN // OF_PERSON)


class Side:
    """A house, and a session of it whose CPU is counted."""

    def __init__(self, house: House, conn: AsyncConnection, pid: int, size: Size, now: datetime) -> None:
        self.house, self.conn, self.pid, self.size, self.now = house, conn, pid, size, now
        self.rng = random.Random(SEED)

    async def cost(self, work: Callable[[], Awaitable[object]], times: int) -> float:
        """Milliseconds of CPU that one `work` takes in the database."""
        before = cpu_seconds(self.pid)
        for _ in range(times):
            await work()
        return (cpu_seconds(self.pid) - before) / times * 1000

    async def take_in(self) -> None:
        run = self.size.runs * self.size.months  # the newest
        people = self.rng.sample(range(OF_RUN), GROUP)
        keys = [MessageKey((run * OF_RUN + place) % self.size.people + 1, run) for place in people]
        await store_seen(self.conn, [Fact(key, FactKind.OPENED, utc_now(), agent="a browser") for key in keys])
        await self.conn.commit()

    async def look_at_customer(self) -> None:
        page = await timeline(self.conn, self.size.people + 1)
        await timeline(self.conn, self.size.people + 1, cursor=page.next)
        await self.conn.rollback()

    async def report(self) -> None:
        campaign = self.size.runs * self.size.months // 2
        await campaign_counts(self.conn, campaign)
        for figures in (hourly, links, domains):
            await figures(self.conn, campaign)
        await self.conn.rollback()

    async def recount(self) -> None:
        if await recount_campaign(self.conn, self.size.runs * self.size.months // 2):
            raise Unavailable("the recount of a campaign that was counted found differences")
        await self.conn.commit()

    async def put_away(self) -> tuple[float, float]:
        """Of the oldest month: ms of CPU for 1,000 of its events, ms for which writers wait when it goes."""
        month = month_of(self.now, 1 - self.size.months)
        before, count, after = cpu_seconds(self.pid), 0, -1
        while (left := await take_out(self.conn, name_of(month), month_of(month, 1), after)).until is not None:
            await self.conn.commit()
            count, after = count + left.events, left.until
        await self.conn.commit()
        spent = (cpu_seconds(self.pid) - before) / max(1, count) * 1e6
        await close_up(self.house.database, month)
        begun = time.perf_counter()
        await put_together(self.conn, month_of(month, 1))
        await self.conn.commit()
        return spent, (time.perf_counter() - begun) * 1000

    async def read_through(self) -> int:
        """Rows of events and messages that were read from end to end so far."""
        await self.conn.execute(text("SELECT pg_stat_force_next_flush()"))
        await self.conn.commit()
        found = await self.conn.scalar(_READ_THROUGH)
        await self.conn.rollback()
        return int(found or 0)


async def measure(scale: float) -> list[Result]:
    hearth.install()
    now = utc_now()
    sizes = [Size(int(LARGE * scale), LARGE_MONTHS), Size(int(SMALL * min(scale, 1)), SMALL_MONTHS)]
    async with AsyncExitStack() as stack:
        sides = [await _side(stack, size, now) for size in sizes]
        large, small = sides
        results = [
            await _compare("take-in", [side.take_in for side in sides], sides, 200),
            await _compare("timeline", [side.look_at_customer for side in sides], sides, 50),
            await _compare("report", [side.report for side in sides], sides, 5),
            await _compare("recount", [side.recount for side in sides], sides, 3),
        ]
        ours, theirs = await large.put_away(), await small.put_away()
        for name, unit, place in (("put-away", "ms CPU/1000", 0), ("let-go", "ms", 1)):
            results.append(_result(name, unit, ours[place], theirs[place], small.size))
    return results


async def _compare(
    name: str, works: Sequence[Callable[[], Awaitable[object]]], sides: Sequence[Side], times: int
) -> Result:
    for work, side in zip(works, sides, strict=True):
        before = await side.read_through()
        for _ in range(6):  # caches are warm then, statements prepared
            await work()
        if (rows := await side.read_through() - before) and side.size.events >= SMALL:
            say(f"{name}: {rows:,} rows were read from end to end among {side.size.events:,} events")

    def costs(side: Side, work: Callable[[], Awaitable[object]]) -> Callable[[], Awaitable[float]]:
        return lambda: side.cost(work, times)

    pairs = [costs(side, work) for side, work in zip(sides, works, strict=True)]
    ours, theirs = await take_turns(pairs, ROUNDS)
    say(f"{name}: {ours:.2f} ms, {theirs:.2f} ms")
    return _result(name, "ms CPU", ours, theirs, sides[1].size)


def _result(name: str, unit: str, ours: float, theirs: float, small: Size) -> Result:
    return Result(name, ours, unit, f"{small.events:,} events", theirs, theirs / max(ours, 1e-9), BAR, GOAL)


async def _side(stack: AsyncExitStack, size: Size, now: datetime) -> Side:
    house = await stack.enter_async_context(throwaway_house("smtp://127.0.0.1:9"))
    await settle(house.database, size, now)
    conn = await stack.enter_async_context(house.database.connect())
    await conn.execute(text("SET max_parallel_workers_per_gather = 0"))
    pid = int(await conn.scalar(text("SELECT pg_backend_pid()")) or 0)
    await conn.commit()
    return Side(house, conn, pid, size, now)


async def settle(database: Database, size: Size, now: datetime) -> None:
    """People, and for each month its campaigns, their messages and what came of them; all drawn from hashes."""
    begun, taken = time.monotonic(), []
    values = {"people": size.people, "runs": size.runs, "of_run": OF_RUN, "of_message": OF_MESSAGE}
    async with database.begin() as conn:
        await conn.execute(text("SET LOCAL session_replication_role = replica"))  # no snapshots behind the runs
        for statement in (_PEOPLE, _ACTIVITY, _CAMPAIGNS, _RUNS, _LINKS):
            await conn.execute(text(statement), {**values, "months": size.months} | {"now": now})
    for number in range(size.months):
        month, started = month_of(now, number + 1 - size.months), time.monotonic()
        async with database.begin() as conn:
            await conn.execute(text("SET LOCAL maintenance_work_mem = '512MB'; SET LOCAL work_mem = '1GB'"))
            await _month(conn, month, {**values, "first": number * size.runs}, min(now, month_of(month, 1)))
        taken.append(time.monotonic() - started)
        say(f"{size.events:,} events: month {number + 1} of {size.months} in {taken[-1]:.0f} s")
    async with database.begin() as conn:
        span = (now - month_of(now, 1 - size.months)) / (TOUCHED + 1)
        await conn.execute(text(_TOUCHED), {"person": size.people + 1, "now": now, "span": span, "count": TOUCHED})
    async with database.connect(autocommit=True) as conn:
        await conn.execute(text("VACUUM (ANALYZE) customers, activity, messages, events"))
    mean = statistics.mean(taken)
    say(
        f"{size.events:,} events of {size.people:,} people in {time.monotonic() - begun:.0f} s, a month in {mean:.0f} s"
    )


async def _month(conn: AsyncConnection, month: datetime, values: dict[str, int], end: datetime) -> None:
    """Its messages, one run after the other until shortly before `end`, and what came of each, most of it soon after,
    in the order in which it came; indexes are made at the end."""
    name, until = name_of(month), month_of(month, 1)
    bound = {**values, "month": month, "span": max(end - month, timedelta(hours=1))}
    await conn.execute(text(f"DROP TABLE IF EXISTS {name}"))
    await conn.execute(text(f"CREATE TABLE {name} (LIKE events INCLUDING DEFAULTS)"))
    await conn.execute(text(_EVENTS.format(table=name, sent=_SENT.format(run="r"))), bound)
    bounds = f"FROM ('{month.isoformat()}') TO ('{until.isoformat()}')"
    await conn.execute(text(f"ALTER TABLE events ATTACH PARTITION {name} FOR VALUES {bounds}"))
    await conn.execute(text(_MESSAGES.format(table=name, sent=_SENT.format(run="run_id"))), bound)


_PEOPLE = """
    INSERT INTO customers (id, name, name_folded, created_at)
    OVERRIDING SYSTEM VALUE
    SELECT n, '王小' || n, '王小' || n, CAST(:now AS timestamptz) - interval '3 years'
    FROM generate_series(1, :people + 1) n
"""
_ACTIVITY = "INSERT INTO activity (customer_id) SELECT n FROM generate_series(1, :people + 1) n"
_CAMPAIGNS = """
    INSERT INTO campaigns (id, name, channel, state) OVERRIDING SYSTEM VALUE
    SELECT n, 'Campaign ' || n, 'email', 'finished' FROM generate_series(1, :runs * :months) n
"""
_RUNS = """
    INSERT INTO runs (id, campaign_id, snapshot_id, occurrence, state) OVERRIDING SYSTEM VALUE
    SELECT n, n, 1, :now, 'finished' FROM generate_series(1, :runs * :months) n
"""
_LINKS = """
    INSERT INTO link_tables (run_id, links)
    SELECT n, (SELECT jsonb_agg('https://shop.example.com/offers/' || l) FROM generate_series(0, 9) l)
    FROM generate_series(1, :runs * :months) n
"""
_SENT = "(CAST(:month AS timestamptz) + CAST(:span AS interval) * 0.9 * ({run} - :first - 1) / :runs)"
# Of message m of a run's: event j. A fifth are clicks, a third are machines'.
_EVENTS = """
    INSERT INTO {table} (customer_id, at, key, kind, kind_folded, channel, campaign_id, run_id, step, link, link_folded,
                         machine, machine_reason, attributes)
    SELECT (CAST(r AS bigint) * :of_run + m) % :people + 1,
        {sent} + CAST(:span AS interval) * 0.1 * power(((h & 1073741823) % 999983) / 999983.0, 3) AS at,
        CAST(md5(r || '.' || m || '.' || j) AS uuid), w.kind, w.kind, 'email', r, r, 0, w.link, w.link, j % 3 = 2,
        CASE WHEN j % 3 = 2 THEN 'proxy' END,
        jsonb_build_object('user_agent', 'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like '
            'Gecko) Chrome/' || 100 + j || '.0.0.0 Safari/537.36', 'link', CASE WHEN j % 5 = 0 THEN h & 7 END)
    FROM generate_series(CAST(:first AS int) + 1, :first + :runs) r, generate_series(0, :of_run - 1) m,
        generate_series(1, :of_message) j
    CROSS JOIN LATERAL (SELECT hashint8(r * CAST(1000003 AS bigint) + m * 101 + j) AS h) hash
    CROSS JOIN LATERAL (
        SELECT CASE WHEN j % 5 = 0 THEN 'clicked' ELSE 'opened' END AS kind,
            CASE WHEN j % 5 = 0 THEN 'https://shop.example.com/offers/' || (h & 7) END AS link
    ) w
    ORDER BY at
"""
_MESSAGES = """
    INSERT INTO messages (customer_id, run_id, step, campaign_id, channel, address, batch, state, sent_at, opens,
        clicks, opened_at, clicked_at, machine_opened_at, machine_clicked_at)
    SELECT customer_id, run_id, 0, run_id, 'email', 'c' || customer_id || '@example.com', 0, 'sent', {sent},
        count(*) FILTER (WHERE NOT machine AND kind <> 'clicked'),
        count(*) FILTER (WHERE NOT machine AND kind = 'clicked'),
        min(at) FILTER (WHERE NOT machine), min(at) FILTER (WHERE NOT machine AND kind = 'clicked'),
        min(at) FILTER (WHERE machine AND kind <> 'clicked'), min(at) FILTER (WHERE machine AND kind = 'clicked')
    FROM {table} GROUP BY 1, 2 ORDER BY 2, 1
"""
_TOUCHED = """
    INSERT INTO events (customer_id, at, key, kind, kind_folded, attributes)
    SELECT :person, :now - n * CAST(:span AS interval), CAST(md5('touched' || n) AS uuid), 'visit', 'visit',
        '{"page": "/air"}'
    FROM generate_series(1, :count) n
"""
_READ_THROUGH = text("""
    SELECT sum(seq_tup_read) FROM pg_stat_user_tables WHERE relname LIKE 'events%' OR relname = 'messages'
""")


if __name__ == "__main__":
    sys.exit(main(__doc__, measure))
