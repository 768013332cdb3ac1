"""What comes back lands on the right message once, and suppresses whom it must."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import permutations
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from channels.contract import EventKind
from channels.email.returns import BounceClass
from customers.merging import merge
from customers.models import standing_consents, suppressed_addresses, suppressions
from customers.suppressions import Lift, lift_address, suppressed_address, suppressions_of
from runtime.database import Database
from tests.tracking.people_with_mail import SENT_AT, make_messages, make_people, message
from tracking.ledger import MessageKey, Outcome, campaign_counts, record_outcomes
from tracking.models import events
from tracking.recount import recount
from tracking.returns import SOFT_REST, Report, apply_reports
from tracking.states import State

LATER = SENT_AT + timedelta(hours=1)
NOW = SENT_AT + timedelta(hours=2)
ADDRESS = "chen@nowhere.example"
DAY = timedelta(days=1)


def bounced(key: MessageKey, kind: BounceClass = BounceClass.HARD, at: datetime = LATER, **more: Any) -> Report:
    return Report(key, EventKind.BOUNCED, at, kind, words="550 5.1.1 no such user", status="5.1.1", code=550, **more)


def complained(key: MessageKey, at: datetime = LATER) -> Report:
    return Report(key, EventKind.COMPLAINED, at, words="abuse")


async def one(conn: AsyncConnection, *, run_id: int = 1, state: str = "sent", address: str = ADDRESS) -> MessageKey:
    [key] = await make_messages(conn, await make_people(conn, 1), run_id=run_id, state=state, address=address)
    return key


async def standing(conn: AsyncConnection, now: datetime = NOW) -> str | None:
    found = await suppressed_address(conn, "email", ADDRESS, now)
    return found and found.reason


async def event_count(conn: AsyncConnection) -> int:
    return int(await conn.scalar(select(func.count()).select_from(events)) or 0)


async def test_a_hard_bounce_moves_the_message_and_suppresses_the_address(conn: AsyncConnection) -> None:
    key, other = await one(conn), await one(conn, address="wang@somewhere.example")
    assert await apply_reports(conn, [bounced(key)], NOW) == 1
    row = await message(conn, key)
    assert (row.state, row.failed_at, row.reason) == ("bounced", LATER, "550 5.1.1 no such user")
    assert await standing(conn) == "bounced"
    [event] = (await conn.execute(select(events))).all()
    assert (event.customer_id, event.kind, event.at, event.campaign_id) == (key.customer_id, "bounced", LATER, 10)
    assert event.attributes["class"] == "hard"
    assert (await message(conn, other)).state == "sent"
    assert not await suppressions_of(conn, other.customer_id, NOW)
    assert (await campaign_counts(conn, 10)).bounced == 1
    assert (await recount(conn)).messages == 0


async def test_policy_and_content_suppress_nobody(conn: AsyncConnection) -> None:
    for run, kind in enumerate((BounceClass.POLICY, BounceClass.CONTENT), 1):
        key = await one(conn, run_id=run)
        await apply_reports(conn, [bounced(key, kind)], NOW)
        assert (await message(conn, key)).state == "bounced"
    assert await standing(conn) is None


async def test_a_complaint_suppresses_person_and_address(conn: AsyncConnection) -> None:
    key = await one(conn)
    await apply_reports(conn, [complained(key), complained(key, LATER + DAY)], NOW)
    assert (await message(conn, key)).complained_at == LATER
    [found] = await suppressions_of(conn, key.customer_id, NOW)
    assert (found.reason, found.channel, found.expires_at) == ("complained", "email", None)
    assert await standing(conn) == "complained"
    assert (await campaign_counts(conn, 10)).complained == 1
    assert await event_count(conn) == 1


async def test_soft_bounces_on_three_days_within_thirty_let_the_address_rest(conn: AsyncConnection) -> None:
    [person] = await make_people(conn, 1)
    days = [0, 0, 1, 40, 50, 69]  # twice on one day; the last three within thirty
    held = []
    for run, day in enumerate(days, 1):
        [key] = await make_messages(conn, [person], run_id=run, address=ADDRESS)
        at = LATER + day * DAY
        await apply_reports(conn, [bounced(key, BounceClass.FULL if run % 2 else BounceClass.SOFT, at)], at)
        held.append(await standing(conn, at))
    assert held == [None, None, None, None, None, "bounced"]
    ended = LATER + 69 * DAY + SOFT_REST
    assert await standing(conn, ended - DAY) == "bounced"
    assert await standing(conn, ended + DAY) is None


async def test_soft_bounces_of_others_do_not_count(conn: AsyncConnection) -> None:
    for day in range(4):
        key = await one(conn, run_id=day + 1, address=f"{day}@nowhere.example")
        await apply_reports(conn, [bounced(key, BounceClass.SOFT, LATER + day * DAY)], LATER + day * DAY)
    assert not await conn.scalar(select(func.count()).select_from(suppressed_addresses))


async def test_hard_after_rest_lasts_and_rest_after_hard_does_not_shorten(conn: AsyncConnection) -> None:
    [person] = await make_people(conn, 1)
    keys = [(await make_messages(conn, [person], run_id=run, address=ADDRESS))[0] for run in range(1, 6)]
    softs = [bounced(key, BounceClass.SOFT, LATER + day * DAY) for day, key in enumerate(keys[:3])]
    late = LATER + 5 * DAY
    await apply_reports(conn, softs, late)
    found = await suppressed_address(conn, "email", ADDRESS, late)
    assert found is not None
    assert found.expires_at == late + SOFT_REST
    for report in (bounced(keys[3], at=late), bounced(keys[4], BounceClass.SOFT, late)):
        await apply_reports(conn, [report], late)
        found = await suppressed_address(conn, "email", ADDRESS, late)
        assert found is not None
        assert found.expires_at is None


async def test_what_was_lifted_stays_lifted_when_the_report_is_replayed(conn: AsyncConnection) -> None:
    key = await one(conn)
    await apply_reports(conn, [bounced(key)], NOW)
    await lift_address(conn, "email", ADDRESS, Lift("admin", "the mailbox is back", NOW))
    assert await apply_reports(conn, [bounced(key, at=LATER + timedelta(minutes=1))], NOW + DAY) == 0
    assert await standing(conn, NOW + DAY) is None


async def test_what_nobody_has_is_dropped(conn: AsyncConnection) -> None:
    key = await one(conn)
    reports = [bounced(MessageKey(key.customer_id + 1, 1)), bounced(MessageKey(key.customer_id, 2))]
    assert await apply_reports(conn, [*reports, complained(reports[0].key)], NOW) == 0
    assert (await event_count(conn), await standing(conn)) == (0, None)


async def test_times_stay_between_sending_and_now(conn: AsyncConnection) -> None:
    early, late = await one(conn), await one(conn)
    await apply_reports(conn, [bounced(early, at=SENT_AT - 900 * DAY), bounced(late, at=NOW + 900 * DAY)], NOW)
    assert {row.at for row in await conn.execute(select(events.c.at))} == {SENT_AT, NOW}


async def test_a_bounce_that_comes_before_the_senders_own_answer(conn: AsyncConnection) -> None:
    key = await one(conn, state="queued")
    await apply_reports(conn, [bounced(key)], NOW)
    await record_outcomes(conn, [Outcome(key, State.SENT, NOW)])
    row = await message(conn, key)
    assert (row.state, row.sent_at) == ("bounced", LATER)


async def test_after_a_merge_the_report_finds_the_survivor(conn: AsyncConnection) -> None:
    key, survivor = await one(conn), (await make_people(conn, 1))[0]
    await apply_reports(conn, [bounced(key)], NOW)
    await merge(conn, survivor, key.customer_id, now=NOW)
    assert await apply_reports(conn, [bounced(key), complained(key)], NOW) == 1
    row = await message(conn, key._replace(customer_id=survivor))
    assert (row.state, row.complained_at) == ("bounced", LATER)
    [found] = await suppressions_of(conn, survivor, NOW)
    assert found.reason == "complained"


async def test_an_unsubscribe_told_by_a_provider_is_the_persons_word(conn: AsyncConnection) -> None:
    key = await one(conn)
    await apply_reports(conn, [Report(key, EventKind.UNSUBSCRIBED, LATER, source="sendgrid")], NOW)
    assert (await message(conn, key)).unsubscribed_at == LATER
    assert await conn.scalar(select(standing_consents.c.granted)) is False


async def test_replies_are_kept_once_each(conn: AsyncConnection) -> None:
    key = await one(conn)
    replies = [Report(key, EventKind.REPLIED, LATER, words=f"words\0 {word}", id=word) for word in ("a", "b", "a")]
    assert await apply_reports(conn, replies, NOW) == 2
    assert await apply_reports(conn, replies, NOW) == 0
    assert (await message(conn, key)).state == "sent"


def _all(keys: Sequence[MessageKey]) -> list[Report]:
    reports = []
    for number, key in enumerate(keys):
        reports.append(Report(key, EventKind.DELIVERED, LATER))
        if number % 2:
            reports += [bounced(key, BounceClass.SOFT), bounced(key, at=LATER + DAY)]
        if number % 3 == 0:
            reports.append(complained(key))
    return reports


async def _picture(conn: AsyncConnection, keys: Sequence[MessageKey]) -> list[Any]:
    rows = [await message(conn, key) for key in keys]
    people = await conn.execute(select(suppressions.c.customer_id).order_by(suppressions.c.customer_id))
    gone = select(suppressed_addresses.c.value, suppressed_addresses.c.reason, suppressed_addresses.c.at)
    held = sorted(tuple(row) for row in await conn.execute(gone))
    told = select(events.c.customer_id, events.c.kind, events.c.at, events.c.key)
    facts = sorted(str(tuple(row)) for row in await conn.execute(told))
    return [[(row.state, row.complained_at) for row in rows], list(people.scalars()), held, facts]


async def test_repeated_and_shuffled_they_end_as_once_and_in_order(conn: AsyncConnection) -> None:
    people = await make_people(conn, 8)
    keys = [(await make_messages(conn, [person], address=f"{person}@nowhere.example"))[0] for person in people]
    rng, reports, late = random.Random(17), _all(keys), NOW + 2 * DAY
    nested = await conn.begin_nested()
    await apply_reports(conn, reports, late)
    wanted = await _picture(conn, keys)
    await nested.rollback()
    many = reports * 46
    rng.shuffle(many)
    while many:
        size = rng.randint(1, 90)
        await apply_reports(conn, many[:size], late)
        del many[:size]
    found = await _picture(conn, keys)
    assert found[0] == wanted[0]
    assert found[1] == wanted[1]
    assert {held[0] for held in found[2]} == {held[0] for held in wanted[2]}
    assert found[3] == wanted[3]
    assert (await recount(conn)).total == 0


async def test_who_hear_the_same_at_once_write_it_once(db: Database) -> None:
    async with db.begin() as conn:
        keys = [await one(conn, address=f"{number}@nowhere.example") for number in range(6)]

    async def hear(seed: int) -> int:
        reports = _all(keys)
        random.Random(seed).shuffle(reports)
        later = [r if r.kind is EventKind.DELIVERED else bounced_at(r, seed) for r in reports]
        async with db.begin() as own:
            return await apply_reports(own, later, NOW + 2 * DAY)

    def bounced_at(report: Report, seed: int) -> Report:
        return Report(report.key, report.kind, report.at + timedelta(seconds=seed), report.bounce)

    new = await asyncio.gather(*(hear(seed) for seed in range(5)))
    async with db.begin() as conn:
        assert sum(new) == await event_count(conn) == 8


async def test_reports_in_any_order_leave_the_ledger_as_in_theirs(conn: AsyncConnection) -> None:
    """Also two bounces of one message: the earlier one is why."""
    delivered = [Report(MessageKey(0, 0), EventKind.DELIVERED, LATER)]
    first = bounced(MessageKey(0, 0), BounceClass.POLICY, LATER + timedelta(minutes=1))
    second = bounced(MessageKey(0, 0), BounceClass.FULL, LATER + timedelta(minutes=9))
    story = [*delivered, replace(first, words="first\0 \ud800"), replace(second, words="second")]
    for order in permutations(story):
        key = await one(conn)
        for report in order:
            await apply_reports(conn, [replace(report, key=key)], NOW)
        row = await message(conn, key)
        assert (row.state, row.delivered_at, row.failed_at) == ("bounced", LATER, LATER + timedelta(minutes=1))
        assert row.reason.startswith("first")
