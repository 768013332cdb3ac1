"""The ledger: outcomes move messages by the written table, once, wherever the customer has gone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.models import customers
from runtime.errors import Invalid
from tests.tracking.people_with_mail import SENT_AT, activity_of, make_messages, make_people, message
from tracking.ledger import (
    MessageKey,
    Outcome,
    campaign_counts,
    cancel_queued,
    count_states,
    due,
    give_up,
    mark_sending,
    messages_page,
    record_outcomes,
)
from tracking.states import NEXT, State

NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)


async def one_message(conn: AsyncConnection, state: str) -> MessageKey:
    [person] = await make_people(conn, 1)
    [key] = await make_messages(conn, [person], state=state)
    return key


async def test_the_table_of_moves_is_the_law(conn: AsyncConnection) -> None:
    people = await make_people(conn, len(State))
    pairs: dict[MessageKey, tuple[State, State]] = {}
    for run_id, target in enumerate(State, 1):
        for person, current in zip(people, State, strict=True):
            [key] = await make_messages(conn, [person], run_id=run_id, state=current)
            pairs[key] = current, target
    await record_outcomes(conn, [Outcome(key, target, NOW) for key, (_, target) in pairs.items()])
    for key, (current, target) in pairs.items():
        expected = target if target in NEXT[current] else current
        assert (await message(conn, key)).state == expected, (current, target)


async def test_a_sent_message_keeps_when_and_by_which_id(conn: AsyncConnection) -> None:
    key = await one_message(conn, "queued")
    outcome = Outcome(key, State.SENT, NOW, provider_id="abc", reason="250 2.0.0 Ok")
    assert await record_outcomes(conn, [outcome]) == 1
    row = await message(conn, key)
    assert (row.sent_at, row.provider_id, row.reason, row.attempts) == (NOW, "abc", "250 2.0.0 Ok", 1)
    assert (await activity_of(conn, key.customer_id)).last_contacted_at == NOW


async def test_repeating_an_outcome_moves_nothing(conn: AsyncConnection) -> None:
    key = await one_message(conn, "queued")
    await record_outcomes(conn, [Outcome(key, State.SENT, NOW)])
    assert await record_outcomes(conn, [Outcome(key, State.SENT, NOW + timedelta(hours=1))]) == 0
    assert (await message(conn, key)).sent_at == NOW
    assert (await activity_of(conn, key.customer_id)).last_contacted_at == NOW


async def test_being_put_off_is_an_attempt_only_when_it_was_tried(conn: AsyncConnection) -> None:
    key = await one_message(conn, "queued")
    again = NOW + timedelta(minutes=5)
    await record_outcomes(conn, [Outcome(key, State.QUEUED, NOW, not_before=again, tried=False)])
    assert (await message(conn, key)).attempts == 0
    await record_outcomes(conn, [Outcome(key, State.QUEUED, NOW, reason="451 later", not_before=again)])
    row = await message(conn, key)
    assert (row.attempts, row.not_before, row.reason, row.state) == (1, again, "451 later", "queued")


async def test_a_message_may_have_several_outcomes_in_one_call_in_their_order(conn: AsyncConnection) -> None:
    key = await one_message(conn, "queued")
    steps = [State.SENT, State.DELIVERED, State.BOUNCED]
    assert await record_outcomes(conn, [Outcome(key, state, NOW) for state in steps]) == 3
    row = await message(conn, key)
    assert (row.state, row.sent_at, row.delivered_at, row.failed_at) == ("bounced", NOW, NOW, NOW)


async def test_an_outcome_finds_the_message_of_a_customer_who_was_merged_meanwhile(conn: AsyncConnection) -> None:
    old, new = await make_people(conn, 2)
    await make_messages(conn, [new], state="queued")
    await conn.execute(update(customers).where(customers.c.id == old).values(merged_into=new))
    assert await record_outcomes(conn, [Outcome(MessageKey(old, 1), State.SENT, NOW)]) == 1
    assert (await message(conn, MessageKey(new, 1))).state == "sent"


async def test_whatever_a_server_says_can_be_kept(conn: AsyncConnection) -> None:
    key = await one_message(conn, "queued")
    await record_outcomes(conn, [Outcome(key, State.FAILED, NOW, reason="550 no\0\x07" + "x" * 5000)])
    reason = (await message(conn, key)).reason
    assert reason.startswith("550 no\x07x")
    assert len(reason) == 1000


async def test_only_what_is_due_is_handed_out(conn: AsyncConnection) -> None:
    first, second, third, fourth = await make_people(conn, 4)
    await make_messages(conn, [first], state="queued", address="a@example.com")
    await make_messages(conn, [second], state="queued", address="b@example.com", not_before=NOW)
    await make_messages(conn, [third], state="queued", address="c@example.com", not_before=NOW + timedelta(seconds=1))
    await make_messages(conn, [fourth], state="sent", address="d@example.com")
    found = await due(conn, 1, 0, NOW)
    assert [(each.key.customer_id, each.address, each.attempts) for each in found] == [
        (first, "a@example.com", 0),
        (second, "b@example.com", 0),
    ]


async def test_what_is_marked_as_sending_is_marked_once_and_given_up_after_a_crash(conn: AsyncConnection) -> None:
    keys = await make_messages(conn, await make_people(conn, 3), state="queued")
    assert await mark_sending(conn, keys[:2]) == set(keys[:2])
    assert await mark_sending(conn, keys) == {keys[2]}
    await record_outcomes(conn, [Outcome(keys[0], State.SENT, NOW)])
    assert await give_up(conn, 1, 0) == 2
    counts = await count_states(conn, 1)
    assert (counts.sent, counts.unknown, counts.finished) == (1, 2, True)


async def test_cancelling_leaves_what_is_under_way_and_the_truth_may_still_arrive(conn: AsyncConnection) -> None:
    keys = await make_messages(conn, await make_people(conn, 2), state="queued")
    assert await cancel_queued(conn, 1) == 2
    assert await record_outcomes(conn, [Outcome(keys[0], State.SENT, NOW)]) == 1
    counts = await count_states(conn, 1)
    assert (counts.cancelled, counts.sent) == (1, 1)


async def test_counts_add_up_and_name_the_reasons(conn: AsyncConnection) -> None:
    people = await make_people(conn, 12)
    for state, person in zip(State, people, strict=False):
        await make_messages(conn, [person], state=state, reason="no consent" if state == "skipped" else None)
    await make_messages(conn, people[9:11], state="skipped", reason="no address")
    await make_messages(
        conn, people[11:], run_id=2, state="sent", campaign_id=10, opened_at=SENT_AT, clicked_at=SENT_AT
    )
    counts = await campaign_counts(conn, 10)
    parts = ("queued", "sending", "sent", "failed", "skipped", "cancelled", "unknown")
    assert counts.audience == 12 == sum(counts.numbers[part] for part in parts)
    assert (counts.sent, counts.delivered, counts.bounced, counts.opened, counts.clicked) == (4, 1, 1, 1, 1)
    assert counts.skipped_reasons == {"no consent": 1, "no address": 2}
    assert not counts.finished
    assert (await count_states(conn, 2)).audience == 1
    assert (await count_states(conn, 99)).audience == 0


async def test_messages_come_in_pages_that_meet_the_counts(conn: AsyncConnection) -> None:
    people = await make_people(conn, 7)
    await make_messages(conn, people[:5], state="sent")
    await make_messages(conn, people[5:6], state="bounced", reason="550 gone")
    await make_messages(conn, people[6:], state="skipped", reason="no consent")
    found, cursor, pages = [], None, 0
    while True:
        items, cursor = await messages_page(conn, 10, "sent", cursor, 4)
        found += items
        pages += 1
        if cursor is None:
            break
    assert pages == 2
    assert [row.customer_id for row in found] == people[:6]
    assert [row.reason for row in (await messages_page(conn, 10, "skipped"))[0]] == ["no consent"]
    assert len((await messages_page(conn, 10))[0]) == 7
    for state, wrong in (("gone", None), (None, "1.2"), (None, "a.b.c"), (None, "1.2.9999999999999999999")):
        with pytest.raises(Invalid):
            await messages_page(conn, 10, state, wrong)


async def test_what_is_due_says_how_often_and_with_what_answer_it_was_tried(conn: AsyncConnection) -> None:
    first, second, third = await make_messages(conn, await make_people(conn, 3), state="queued")
    put_off = Outcome(second, State.QUEUED, NOW, reason="451 4.7.1 Greylisted", not_before=NOW)
    later = Outcome(third, State.QUEUED, NOW, reason="451 4.7.1 Greylisted", not_before=NOW + timedelta(hours=1))
    await record_outcomes(conn, [put_off, later])
    batch = (await message(conn, first)).batch
    found = await due(conn, first.run_id, batch, NOW)
    assert [(one.key, one.state, one.attempts, one.reason) for one in found] == [
        (first, State.QUEUED, 0, None),
        (second, State.QUEUED, 1, "451 4.7.1 Greylisted"),
    ]
