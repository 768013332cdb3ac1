"""Bounces and complaints stop a campaign, its reason is shown, and one click lets it go on."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import select, text

from campaigns.halt import pause
from campaigns.launch import resume
from campaigns.sending import evidence as counting
from campaigns.sending.evidence import Counting, Found, evidence
from campaigns.sending.judge import judge_campaigns, judge_one
from campaigns.sending.thresholds import Evidence, Thresholds, load_thresholds, save_thresholds
from campaigns.states import State
from campaigns.store import campaign
from runtime.clock import utc_now
from runtime.house import House
from runtime.leader import NotLeader, Term, acquire
from tests.campaigns.scene import add_people, launched, record, work_off
from tests.waiting import until
from tracking.ledger import MessageKey, Outcome, record_outcomes
from tracking.models import messages
from tracking.states import State as MessageState

LOW = Thresholds(minimum=10)

COMPLAIN = text(
    "UPDATE messages SET complained_at = now() WHERE customer_id IN (SELECT min(customer_id) FROM messages)"
)
ANOTHER = text("UPDATE messages SET complained_at = now() WHERE customer_id IN (SELECT max(customer_id) FROM messages)")
BOUNCE = text("UPDATE messages SET state = 'bounced' WHERE customer_id IN (SELECT max(customer_id) FROM messages)")


async def half_sent(house: House) -> int:
    """A campaign that has sent 20 messages, and would go on."""
    async with house.database.begin() as conn:
        await add_people(conn, 20)
    campaign_id = await launched(house)
    await work_off(house)
    async with house.database.begin() as conn:
        await conn.execute(text("UPDATE campaigns SET state = 'sending', finished_at = NULL"))
        await conn.execute(text("UPDATE runs SET state = 'sending', finished_at = NULL"))
        await conn.execute(text("UPDATE messages SET state = 'queued' WHERE customer_id % 5 = 0"))
    return campaign_id


async def judged(house: House, campaign_id: int, limits: Thresholds = LOW) -> State:
    async with house.database.begin() as conn:
        found = (await evidence(conn, [campaign_id], utc_now()))[campaign_id]
        await judge_one(conn, campaign_id, found, limits, now=utc_now())
        return (await campaign(conn, campaign_id)).state


async def test_complaints_pause_once_and_resume_does_not_stop_at_the_same(house: House) -> None:
    campaign_id = await half_sent(house)
    assert await judged(house, campaign_id) is State.SENDING
    async with house.database.begin() as conn:
        await conn.execute(COMPLAIN)
    assert await judged(house, campaign_id, Thresholds(minimum=100)) is State.SENDING
    assert await judged(house, campaign_id) is State.PAUSED
    found = await record(house, campaign_id)
    assert found["pause_reason"] == "1 of 16 recipients reported it as spam (6.25%); campaigns stop at 0.3%"
    async with house.database.begin() as conn:
        await resume(conn, campaign_id, now=utc_now())
        assert (await campaign(conn, campaign_id)).alarm is None
    assert await judged(house, campaign_id, Thresholds(minimum=1)) is State.SENDING
    async with house.database.begin() as conn:
        await conn.execute(ANOTHER)
        await conn.execute(text("UPDATE messages SET state = 'sent' WHERE state = 'queued'"))
    assert await judged(house, campaign_id, Thresholds(minimum=1)) is State.PAUSED


async def test_bounces_pause_and_a_campaign_that_is_paused_already_keeps_its_reason(house: House) -> None:
    campaign_id = await half_sent(house)
    async with house.database.begin() as conn:
        await conn.execute(BOUNCE)
    assert await judged(house, campaign_id) is State.PAUSED
    assert "bounced (" in (await record(house, campaign_id))["pause_reason"]
    async with house.database.begin() as conn:
        await resume(conn, campaign_id, now=utc_now())
        await conn.execute(COMPLAIN)
        await pause(conn, campaign_id, now=utc_now(), reason="lunch")
    assert await judged(house, campaign_id, Thresholds(minimum=1, complaints_pause=None)) is State.PAUSED
    assert (await record(house, campaign_id))["pause_reason"] == "lunch"


async def test_a_bad_day_is_not_hidden_by_good_months(house: House) -> None:
    campaign_id = await half_sent(house)
    limits = Thresholds(minimum=2, bounces_pause=20)
    async with house.database.begin() as conn:
        await conn.execute(text("UPDATE messages SET sent_at = now() - interval '40 days' WHERE state = 'sent'"))
        await conn.execute(text("UPDATE messages SET state = 'sent', sent_at = now() WHERE state = 'queued'"))
        stale = (await evidence(conn, [campaign_id], utc_now()))[campaign_id]
    assert (stale.total.sent, stale.lately.sent) == (20, 4)
    assert await judged(house, campaign_id, limits) is State.SENDING
    async with house.database.begin() as conn:
        await conn.execute(text("UPDATE messages SET state = 'bounced', failed_at = now() WHERE customer_id % 10 = 0"))
        stale = (await evidence(conn, [campaign_id], utc_now()))[campaign_id]
    assert await judged(house, campaign_id, limits) is State.PAUSED
    found = await record(house, campaign_id)
    assert found["pause_reason"] == "2 of 4 messages bounced (50.0%), counting the last day; campaigns stop at 20%"
    async with house.database.begin() as conn:
        await resume(conn, campaign_id, now=utc_now())
        await conn.execute(text("UPDATE campaigns SET state = 'sending'"))
    assert await judged(house, campaign_id, limits) is State.SENDING
    async with house.database.begin() as conn:
        await judge_one(conn, campaign_id, stale, limits, now=utc_now())
        assert (await campaign(conn, campaign_id)).state is State.SENDING


async def test_late_bounces_of_older_messages_are_not_held_against_the_last_day(house: House) -> None:
    campaign_id = await half_sent(house)
    async with house.database.begin() as conn:
        await conn.execute(text("UPDATE messages SET sent_at = now() - interval '2 days' WHERE state = 'sent'"))
        await conn.execute(text("UPDATE messages SET state = 'sent', sent_at = now() WHERE state = 'queued'"))
        await conn.execute(text("UPDATE messages SET state = 'bounced', failed_at = now() WHERE customer_id % 10 = 1"))
    assert await judged(house, campaign_id, Thresholds(minimum=2, bounces_pause=20)) is State.SENDING


async def test_who_lets_a_campaign_go_on_while_it_is_judged_is_heard(house: House) -> None:
    """The judge has read and waits for the lock that the resume holds."""
    campaign_id = await half_sent(house)
    async with house.database.begin() as conn:
        await conn.execute(BOUNCE)
        found = (await evidence(conn, [campaign_id], utc_now()))[campaign_id]
        await pause(conn, campaign_id, now=utc_now(), reason="lunch")
    async with house.database.begin() as conn:
        await resume(conn, campaign_id, now=utc_now())
        judging = asyncio.create_task(_judge(house, campaign_id, found))
        await until(lambda: waits_for_a_lock(house))
    await judging
    assert (await record(house, campaign_id))["state"] != "paused"


async def _judge(house: House, campaign_id: int, found: Found) -> None:
    async with house.database.begin() as conn:
        await judge_one(conn, campaign_id, found, LOW, now=utc_now())


async def waits_for_a_lock(house: House) -> bool:
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    async with house.database.connect() as conn:
        return bool(await conn.scalar(waiting))


async def test_thresholds_are_kept_for_the_workspace(house: House) -> None:
    async with house.database.begin() as conn:
        assert await load_thresholds(conn) == Thresholds()
        await save_thresholds(conn, {"bounces_pause": None, "minimum": 50})
        assert await load_thresholds(conn) == Thresholds(bounces_pause=None, minimum=50)


async def test_the_leader_judges_all_running_campaigns(house: House) -> None:
    campaign_id = await half_sent(house)
    async with house.database.begin() as conn:
        await conn.execute(COMPLAIN)
        await save_thresholds(conn, {"minimum": 10})
        term = await acquire(conn, "scheduler", "me")
    assert term is not None
    with pytest.raises(NotLeader):
        await judge_campaigns(house, Term("scheduler", term.number + 1), utc_now())
    await judge_campaigns(house, term, utc_now())
    assert (await record(house, campaign_id))["state"] == "paused"


async def test_one_that_cannot_be_judged_keeps_no_other_waiting(house: House, caplog: pytest.LogCaptureFixture) -> None:
    strange = await half_sent(house)
    other = await launched(house, name="Other")
    async with house.database.begin() as conn:
        await conn.execute(_SAME_FOR, {"other": other})
        await conn.execute(text("UPDATE campaigns SET state = 'sending', judged_from = NULL"))
        await conn.execute(text("UPDATE campaigns SET judged_from = '{\"odd\": 1}' WHERE id = :id"), {"id": strange})
        await save_thresholds(conn, {"minimum": 10})
        term = await acquire(conn, "scheduler", "me")
    assert term is not None
    await judge_campaigns(house, term, utc_now())
    assert (await record(house, other))["state"] == "paused"
    assert f"campaign {strange} (Spring) is passed over" in caplog.text


_SAME_FOR = text("""
    INSERT INTO messages (customer_id, run_id, campaign_id, channel, state, sent_at, complained_at)
    SELECT customer_id, -1, :other, channel, 'sent', now(), now() FROM messages
""")


async def test_an_alarm_is_noted_and_goes_when_it_is_over(house: House) -> None:
    campaign_id = await half_sent(house)
    async with house.database.begin() as conn:
        await conn.execute(COMPLAIN)
    gentle = Thresholds(minimum=10, complaints_pause=None)
    assert await judged(house, campaign_id, gentle) is State.SENDING
    async with house.database.connect() as conn:
        assert "1 of 16 recipients" in str((await campaign(conn, campaign_id)).alarm)
    assert await judged(house, campaign_id, Thresholds(minimum=1_000)) is State.SENDING
    async with house.database.connect() as conn:
        assert (await campaign(conn, campaign_id)).alarm is None


async def test_tallies_add_up_to_what_a_scan_finds_without_one(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """One scan when a campaign is first seen; all that comes after is known from the commits."""
    monkeypatch.setattr(counting, "RESTS", 1e9)
    campaign_id = await half_sent(house)
    counted = Counting()
    async with house.database.connect() as conn:
        scanned = await evidence(conn, [campaign_id], now := utc_now())
    assert dict(await counted.turn(house.database, now)) == scanned
    async with house.database.begin() as conn:
        rows = (await conn.execute(select(messages.c["customer_id", "run_id", "state"]))).all()
        queued = [MessageKey(row.customer_id, row.run_id) for row in rows if row.state == "queued"]
        sent = [MessageKey(row.customer_id, row.run_id) for row in rows if row.state == "sent"]
        said = (
            (queued[0], MessageState.SENT, None),
            (queued[1], MessageState.FAILED, "550 5.1.1 no such user"),
            (queued[2], MessageState.FAILED, "cannot be rendered"),
            (queued[3], MessageState.QUEUED, "451 4.7.1 later"),
            (sent[0], MessageState.BOUNCED, "the mailbox is full"),
            (sent[1], MessageState.DELIVERED, None),
        )
        outcomes = [Outcome(key, state, utc_now(), reason=reason) for key, state, reason in said]
        assert await record_outcomes(conn, outcomes) == len(outcomes)
    found = (await counted.turn(house.database, utc_now()))[campaign_id]
    assert found.total == Evidence(17, 1, 1, 0)
    assert found.lately == Evidence(17, 1, 0, 0)  # whose bounce it is, only a look tells
    async with house.database.begin() as conn:
        assert (await evidence(conn, [campaign_id], now))[campaign_id].total == found.total
        await conn.execute(COMPLAIN)
    assert (await counted.turn(house.database, utc_now()))[campaign_id] == found  # no tally tells of complaints
    monkeypatch.setattr(counting, "RESTS", 0)
    monkeypatch.setattr(counting, "SHARE", 1e9)
    await until(lambda: complained(counted, house))


async def complained(counted: Counting, house: House) -> bool:
    return all(found.total.complained == 1 for found in (await counted.turn(house.database, utc_now())).values())


async def test_what_was_not_read_for_long_is_counted_anew(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    campaign_id = await half_sent(house)
    counted = Counting()
    await counted.turn(house.database, utc_now())
    async with house.database.begin() as conn:
        await conn.execute(BOUNCE)
        await conn.execute(text("DELETE FROM tallies"))
    monkeypatch.setattr(counting, "KEPT", timedelta(0))
    assert (await counted.turn(house.database, utc_now()))[campaign_id].total.bounced == 1
