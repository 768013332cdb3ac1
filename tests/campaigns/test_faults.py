"""Servers that refuse, break off or are down; people and marketers who change their minds: FAULTS.md rows 5, 10, 11."""

from __future__ import annotations

import asyncio
import dataclasses
import re
from datetime import timedelta

import pytest
from aiosmtpd.controller import Controller
from sqlalchemy import delete, select, text, update

from campaigns import halt
from campaigns.dispatch import batch
from campaigns.dispatch.batch import send
from campaigns.dispatch.verdicts import POLICY, Policy
from campaigns.freeze import prepare_run
from campaigns.launch import resume
from campaigns.models import runs
from campaigns.states import State
from campaigns.store import campaign
from customers.changes import EVERYTHING, note_changed
from customers.consents import ConsentEntry, record_consents
from customers.models import contact_addresses, customers, standing_consents, suppressed_addresses
from customers.results import Consent
from runtime.backoff import Backoff
from runtime.clock import utc_now
from runtime.house import House
from tests.campaigns.scene import Sink, add_people, finished, free_port, launched, record, work_off, working
from tests.waiting import until
from tracking.models import messages

SOON = timedelta(milliseconds=50)
HASTY = Policy(
    refused=Backoff(None, SOON),
    broken=Backoff(None, SOON, SOON),
    server_down=Backoff(None, SOON, SOON),
    doubt=SOON,
    lifetime=timedelta(days=4),
)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries within a moment rather than half an hour."""
    for name, value in vars(HASTY).items():
        monkeypatch.setitem(POLICY.__dict__, name, value)


async def a_campaign(house: House, people: int, **changes: object) -> int:
    async with house.database.begin() as conn:
        await add_people(conn, people)
    return await launched(house, **changes)


async def states(house: House) -> dict[str, tuple[str, str | None]]:
    async with house.database.connect() as conn:
        rows = await conn.execute(select(messages.c.address, messages.c.state, messages.c.reason))
        return {row.address: (row.state, row.reason) for row in rows}


def balanced(counts: dict[str, int]) -> bool:
    parts = ("queued", "sending", "sent", "failed", "skipped", "cancelled", "unknown")
    return counts["audience"] == sum(counts[part] for part in parts)


async def test_nobody_there_means_failed_and_suppressed(house: House, sink: Sink) -> None:
    sink.at_rcpt = lambda address: "550 5.1.1 no such user" if address == "p2@example.com" else None
    campaign_id = await a_campaign(house, 5)
    await work_off(house)
    found = await record(house, campaign_id)
    assert (found["state"], found["counts"]["sent"], found["counts"]["failed"]) == ("finished", 4, 1)
    assert (await states(house))["p2@example.com"] == ("failed", "550 5.1.1 no such user")
    async with house.database.connect() as conn:
        gone = (await conn.execute(select(suppressed_addresses))).one()
    assert (gone.kind, gone.value, gone.reason) == ("email", "p2@example.com", "bounced")
    following = await launched(house, name="Next")
    await work_off(house)
    assert (await record(house, following))["skipped_reasons"] == {"suppressed: bounced": 1}


async def test_a_policy_refusal_pauses_with_the_servers_words_and_suppresses_nobody(house: House, sink: Sink) -> None:
    sink.at_data = lambda address: "550 5.7.1 Message rejected: looks like spam"
    campaign_id = await a_campaign(house, 40)
    await work_off(house)
    found = await record(house, campaign_id)
    assert found["state"] == "paused"
    assert found["pause_reason"] == "550 5.7.1 Message rejected: looks like spam"
    assert (found["counts"]["queued"], found["counts"]["failed"], found["runs"][0]["state"]) == (40, 0, "paused")
    async with house.database.connect() as conn:
        assert (await conn.execute(select(suppressed_addresses))).all() == []
    sink.at_data = lambda address: None
    async with house.database.begin() as conn:
        await resume(conn, campaign_id, now=utc_now())
    await work_off(house)
    found = await record(house, campaign_id)
    assert (found["state"], found["pause_reason"], found["counts"]["sent"]) == ("finished", None, 40)
    assert len(set(sink.addresses)) == len(sink.addresses) == 40


async def test_a_greylisted_message_goes_out_at_the_first_attempt_after_the_window(
    house: House, sink: Sink, hasty: None
) -> None:
    refused: set[str] = set()

    def once(address: str) -> str | None:
        if address in refused or address != "p3@example.com":
            return None
        refused.add(address)
        return "451 4.7.1 greylisted"

    sink.at_rcpt = once
    campaign_id = await a_campaign(house, 6)
    await work_off(house, future=True)
    found = await record(house, campaign_id)
    assert (found["state"], found["counts"]["sent"]) == ("finished", 6)
    assert sorted(sink.addresses) == sorted(f"p{number}@example.com" for number in range(1, 7))
    async with house.database.connect() as conn:
        tried = select(messages.c.attempts).where(messages.c.address == "p3@example.com")
        assert await conn.scalar(tried) == 2


async def test_a_greylisted_message_waits_half_an_hour(house: House, sink: Sink) -> None:
    sink.at_rcpt = lambda address: "451 4.7.1 greylisted" if address == "p1@example.com" else None
    campaign_id = await a_campaign(house, 3)
    await work_off(house)
    found = await record(house, campaign_id)
    assert (found["state"], found["counts"]["queued"], found["counts"]["sent"]) == ("sending", 1, 2)
    async with house.database.connect() as conn:
        planned = text("SELECT scheduled_at FROM procrastinate_jobs WHERE status = 'todo'")
        row = (await conn.execute(select(messages).where(messages.c.state == "queued"))).one()
        assert (await conn.execute(planned)).scalars().all() == [row.not_before]
    assert timedelta(minutes=29) < row.not_before - utc_now() <= timedelta(minutes=30)
    assert row.reason == "451 4.7.1 greylisted"


async def test_a_server_that_is_down_is_waited_for(house: House, sink: Sink, hasty: None) -> None:
    port = free_port()
    away = dataclasses.replace(
        house, settings=dataclasses.replace(house.settings, smtp_url=f"smtp://127.0.0.1:{port}?connections=3")
    )
    campaign_id = await a_campaign(away, 12)
    worker = asyncio.create_task(work_off(away, future=True))

    async def waits() -> bool:
        note = (await record(away, campaign_id))["runs"][0]["note"]
        return note is not None and note.startswith(f"waiting: 127.0.0.1:{port} (connect)")

    await until(waits)
    late = Controller(sink, hostname="127.0.0.1", port=port)
    late.start()
    try:
        await worker
    finally:
        late.stop()
    found = await record(away, campaign_id)
    assert (found["state"], found["counts"]["sent"], found["counts"]["failed"]) == ("finished", 12, 0)
    assert found["runs"][0]["note"] is None
    assert len(sink.mails) == 12


async def test_what_was_waited_for_is_forgotten_with_the_first_message_and_not_with_the_last(
    house: House, sink: Sink, hasty: None
) -> None:
    port = free_port()
    away = dataclasses.replace(house, settings=dataclasses.replace(house.settings, smtp_url=f"smtp://127.0.0.1:{port}"))
    campaign_id = await a_campaign(away, 200, options={"rate_per_second": 20})

    async def note() -> str | None:
        found: str | None = (await record(away, campaign_id))["runs"][0]["note"]
        return found

    async def forgotten() -> bool:
        return await note() is None

    async def waits() -> bool:
        return re.search(r"; next try at \d\d:\d\d:\d\d \(Asia/Shanghai\)$", await note() or "") is not None

    async with working(away):
        await until(waits)
        late = Controller(sink, hostname="127.0.0.1", port=port)
        late.start()
        try:
            await until(lambda: len(sink.mails) > 0)
            await until(forgotten, 5)
            assert len(sink.mails) < 200
            assert (await record(away, campaign_id))["state"] == "sending"
            async with house.database.begin() as conn:
                await halt.cancel(conn, campaign_id, now=utc_now())
        finally:
            late.stop()


async def test_a_doubtful_message_is_tried_once_more_under_the_same_id(house: House, sink: Sink, hasty: None) -> None:
    """The server takes the mail and closes the connection without a word: RFC 1047."""
    campaign_id = await a_campaign(house, 3)
    taken: list[str] = []

    def swallow(address: str) -> str | None:
        if address != "p2@example.com":
            return None
        taken.append(address)
        raise ConnectionAbortedError

    sink.at_data = swallow
    await work_off(house, future=True)
    found = await record(house, campaign_id)
    assert taken == ["p2@example.com", "p2@example.com"]
    assert (found["counts"]["unknown"], found["counts"]["sent"], found["state"]) == (1, 2, "finished")
    assert (await states(house))["p2@example.com"][1].startswith("in doubt: ")
    assert balanced(found["counts"])


async def test_pause_and_resume_fifty_times_repeats_nothing(house: House, sink: Sink) -> None:
    campaign_id = await a_campaign(house, 600)
    async with working(house):
        await until(lambda: len(sink.mails) > 0)
        for _ in range(50):
            async with house.database.begin() as conn:
                if (await campaign(conn, campaign_id, lock=True)).state is not State.SENDING:
                    break
                await halt.pause(conn, campaign_id, now=utc_now())
            assert balanced((await record(house, campaign_id))["counts"])
            async with house.database.begin() as conn:
                await resume(conn, campaign_id, now=utc_now())
        found = await finished(house, campaign_id)
    assert found["counts"]["sent"] == 600
    assert len(sink.addresses) == len(set(sink.addresses)) == 600


async def test_nothing_goes_out_two_seconds_after_a_pause_or_a_cancel(house: House, sink: Sink) -> None:
    campaign_id = await a_campaign(house, 2_000, options={"rate_per_second": 200})
    worker = asyncio.create_task(work_off(house, seconds=90))
    await until(lambda: len(sink.mails) > 20)
    async with house.database.begin() as conn:
        await halt.pause(conn, campaign_id, now=utc_now())
    paused_at = asyncio.get_running_loop().time()
    await worker
    assert asyncio.get_running_loop().time() - paused_at < 8
    assert max(sink.times) - paused_at < 2
    before = len(sink.mails)
    found = await record(house, campaign_id)
    assert (found["state"], found["counts"]["sent"], found["counts"]["queued"]) == ("paused", before, 2_000 - before)
    async with house.database.begin() as conn:
        await halt.cancel(conn, campaign_id, now=utc_now())
    await work_off(house)
    found = await record(house, campaign_id)
    assert (found["counts"]["cancelled"], len(sink.mails)) == (2_000 - before, before)
    assert balanced(found["counts"])


async def test_a_consent_withdrawn_under_way_is_heeded(house: House, sink: Sink) -> None:
    """FAULTS.md row 23, small: who unsubscribes while the batch is being sent gets nothing."""
    campaign_id = await a_campaign(house, 300, options={"rate_per_second": 60})
    worker = asyncio.create_task(work_off(house, seconds=60, future=True))
    await until(lambda: len(sink.mails) > 3)
    async with house.database.begin() as conn:
        waiting = select(messages.c.customer_id).where(messages.c.state == "queued")
        last = list((await conn.execute(waiting)).scalars())
        no = Consent("email", "marketing", False, "test", utc_now())
        await record_consents(conn, [ConsentEntry(number, no) for number in last], now=utc_now())
    await worker
    found = await record(house, campaign_id)
    assert found["state"] == "finished"
    assert found["skipped_reasons"]["unsubscribed"] == found["counts"]["skipped"] == 300 - len(sink.mails)
    assert len(sink.mails) < 300 - len(last) + 150


async def test_a_customer_merged_under_way_gets_the_message_of_the_survivor(house: House, sink: Sink) -> None:
    """Nobody is skipped for being an alias: the message is the survivor's and goes out once."""
    async with house.database.begin() as conn:
        *_, survivor = await add_people(conn, 60)
        await conn.execute(
            update(contact_addresses).where(contact_addresses.c.customer_id == survivor).values(kind="x")
        )
    await launched(house, options={"rate_per_second": 30})
    worker = asyncio.create_task(work_off(house, seconds=60, future=True))
    await until(lambda: len(sink.mails) > 0)
    async with house.database.begin() as conn:
        waiting = select(messages.c.customer_id).where(messages.c.state == "queued").order_by(messages.c.customer_id)
        alias = int((await conn.execute(waiting)).scalars().all()[-1])
        await conn.execute(delete(messages).where(messages.c.customer_id == survivor))
        await conn.execute(update(messages).where(messages.c.customer_id == alias).values(customer_id=survivor))
        await conn.execute(delete(standing_consents).where(standing_consents.c.customer_id == alias))
        await conn.execute(update(customers).where(customers.c.id == alias).values(merged_into=survivor))
        await note_changed(conn, EVERYTHING, [survivor, alias])
    await worker
    assert len(sink.addresses) == len(set(sink.addresses)) == 59
    async with house.database.connect() as conn:
        left = await conn.scalar(select(messages.c.state).where(messages.c.customer_id == survivor))
    assert left == "sent"


async def test_the_rate_is_kept_by_two_workers_together(house: House, sink: Sink) -> None:
    await a_campaign(house, 120, options={"rate_per_second": 40})
    started = asyncio.get_running_loop().time()
    await asyncio.gather(work_off(house, seconds=60, future=True), work_off(house, seconds=60, future=True))
    assert len(sink.mails) == 120
    for first, later in zip(sink.times, sink.times[80:], strict=False):
        assert later - first > 1.5  # 80 messages take two seconds
    assert sink.times[-1] - started < 30


async def test_one_bad_rendering_fails_alone_and_many_pause(house: House, sink: Sink) -> None:
    async with house.database.begin() as conn:
        await add_people(conn, 60)
    one = "{% if customer.name == 'Person 5' %}{{ 1 // 0 }}{% endif %}Hello"
    content = {"subject": one, "html": "<p>x</p>"}
    campaign_id = await launched(house, content=content)
    await work_off(house)
    found = await record(house, campaign_id)
    assert (found["state"], found["counts"]["failed"], found["counts"]["sent"]) == ("finished", 1, 59)
    assert "cannot be rendered" in str((await states(house))["p5@example.com"][1])
    content = {"subject": "{{ 1 // 0 }}", "html": "<p>x</p>"}
    campaign_id = await launched(house, content=content, name="All bad")
    await work_off(house)
    found = await record(house, campaign_id)
    assert found["state"] == "paused"
    assert "could not be rendered" in found["pause_reason"]
    assert found["counts"]["queued"] > 40


async def test_a_graceful_stop_duplicates_nothing(house: House, sink: Sink) -> None:
    await a_campaign(house, 200, options={"rate_per_second": 100})
    async with house.database.connect() as conn:
        run_id = await conn.scalar(select(runs.c.id))
    await prepare_run(house, run_id=run_id)
    stopped = dataclasses.replace(house, stopping=asyncio.Event())
    sending = asyncio.create_task(send(stopped, run_id, 0))
    await until(lambda: len(sink.mails) > 10)
    stopped.stopping.set()
    await asyncio.wait_for(sending, 10)
    sent = len(sink.mails)
    assert 10 < sent < 200
    async with house.database.connect() as conn:
        counted = text(
            "SELECT count(*) FILTER (WHERE state = 'sent'), count(*) FILTER (WHERE state = 'queued') FROM messages"
        )
        assert tuple((await conn.execute(counted)).one()) == (sent, 200 - sent)
        waiting = text("SELECT count(*) FROM procrastinate_jobs WHERE status = 'todo' AND task_name = :name")
        assert await conn.scalar(waiting, {"name": batch.send_batch.name}) == 1
    await work_off(house)
    assert len(sink.addresses) == len(set(sink.addresses)) == 200
