"""Freezing: everybody in the audience gets a message, those who must not be contacted with the reason."""

from __future__ import annotations

import contextlib
from datetime import datetime, timedelta

import pytest
from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns import halt
from campaigns.experiments.share import NEIGHBOURS
from campaigns.freeze import Overtaken, _freeze, _plan, batch_size, freeze, prepare_run
from campaigns.launch import resume
from campaigns.models import runs
from campaigns.permission import barred
from campaigns.schedule import work_off as start
from customers.models import (
    attribute_definitions,
    contact_addresses,
    customers,
    standing_consents,
    suppressed_addresses,
    suppressions,
)
from runtime.clock import utc_now
from runtime.house import House
from runtime.registry import ChannelKind
from segments.bucket import bucket
from segments.context import context_at
from segments.store import create_segment
from tests.campaigns.scene import add_people, launched, record, work_off
from tracking.models import link_tables, messages

EMAIL = ChannelKind("email", "email")


async def suppress(conn: AsyncConnection, customer_id: int, reason: str, **more: object) -> None:
    row = {"customer_id": customer_id, "channel": "email", "reason": reason, "at": utc_now(), **more}
    await conn.execute(insert(suppressions).values(row))


async def reasons(conn: AsyncConnection) -> dict[int, str | None]:
    rows = await conn.execute(select(messages.c.customer_id, messages.c.state, messages.c.reason))
    return {row.customer_id: row.reason if row.state == "skipped" else row.state for row in rows}


async def prepared(house: House, campaign_id: int) -> int:
    """Freeze the campaign's run, without a worker."""
    async with house.database.connect() as conn:
        run_id = await conn.scalar(select(runs.c.id).where(runs.c.campaign_id == campaign_id))
    await prepare_run(house, run_id=run_id)
    return int(run_id)


async def test_every_reason_is_told(house: House) -> None:
    async with house.database.begin() as conn:
        people = await add_people(conn, 12)
        fine, nowhere, never, withdrawn, one_click, bounced, complained, dead, old, other, second, twin = people
        await conn.execute(delete(contact_addresses).where(contact_addresses.c.customer_id == nowhere))
        await conn.execute(delete(standing_consents).where(standing_consents.c.customer_id == never))
        gone = standing_consents.c.customer_id == withdrawn
        await conn.execute(update(standing_consents).where(gone).values(granted=False))
        await suppress(conn, one_click, "unsubscribed")
        await suppress(conn, bounced, "bounced")
        await suppress(conn, complained, "complained", address="p7@example.com")
        gone_address = {"kind": "email", "value": "p8@example.com", "reason": "bounced", "at": utc_now()}
        await conn.execute(insert(suppressed_addresses).values(gone_address))
        await suppress(conn, old, "bounced", expires_at=utc_now() - timedelta(hours=1))
        await suppress(conn, other, "complained", address="earlier@example.com")
        # A second address takes the place of one that must not be used.
        await suppress(conn, second, "bounced", address="p11@example.com")
        spare = {"customer_id": second, "kind": "email", "value": "spare@example.com"}
        await conn.execute(insert(contact_addresses).values(spare))
        own = (contact_addresses.c.customer_id == twin) & (contact_addresses.c.kind == "email")
        await conn.execute(update(contact_addresses).where(own).values(value="p1@example.com"))
    campaign_id = await launched(house)
    await prepared(house, campaign_id)
    async with house.database.connect() as conn:
        assert await reasons(conn) == {
            fine: "queued",
            nowhere: "no_address",
            never: "no_consent",
            withdrawn: "unsubscribed",
            one_click: "unsubscribed",
            bounced: "suppressed: bounced",
            complained: "suppressed: complained",
            dead: "suppressed: bounced",
            old: "queued",
            other: "queued",
            second: "queued",
            twin: "duplicate_address",
        }
        spare_used = select(messages.c.address).where(messages.c.customer_id == second)
        assert await conn.scalar(spare_used) == "spare@example.com"
    found = await record(house, campaign_id)
    assert found["counts"]["audience"] == 12
    assert sum(found["skipped_reasons"].values()) == found["counts"]["skipped"] == 8


async def test_the_same_words_before_the_final_dot(house: House) -> None:
    """`barred` judges messages under way by the expression that the freeze uses."""
    async with house.database.begin() as conn:
        fine, withdrawn, bounced = await add_people(conn, 3)
        gone = standing_consents.c.customer_id == withdrawn
        await conn.execute(update(standing_consents).where(gone).values(granted=False))
        await suppress(conn, bounced, "bounced")
        targets = [(fine, "p1@example.com"), (withdrawn, "p2@example.com"), (bounced, "p3@example.com")]
        found = await barred(conn, targets, EMAIL, utc_now())
    assert found == {withdrawn: "unsubscribed", bounced: "suppressed: bounced"}


async def test_aliases_of_merged_customers_get_nothing(house: House) -> None:
    async with house.database.begin() as conn:
        kept, alias = await add_people(conn, 2)
        await conn.execute(update(customers).where(customers.c.id == alias).values(merged_into=kept))
    await prepared(house, await launched(house))
    async with house.database.connect() as conn:
        assert await reasons(conn) == {kept: "queued"}


async def test_paused_while_it_is_frozen_it_waits_and_cancelled_it_leaves_nothing(house: House) -> None:
    async with house.database.begin() as conn:
        await add_people(conn, 4)
    for verb, state, audience in ((halt.pause, "paused", 4), (halt.cancel, "cancelled", 0)):
        campaign_id = await launched(house, name=state)
        async with house.database.connect() as conn:
            run_id = await conn.scalar(select(runs.c.id).where(runs.c.campaign_id == campaign_id))
        with contextlib.suppress(Overtaken):
            async with house.database.begin() as freezing:
                plan = await _plan(freezing, run_id)
                assert plan is not None
                async with house.database.begin() as asking:
                    await verb(asking, campaign_id, now=utc_now())
                await _freeze(freezing, plan, context_at(utc_now(), house.settings))
        found = await record(house, campaign_id)
        assert (found["state"], found["counts"]["audience"]) == (state, audience)
        if state == "paused":
            async with house.database.begin() as conn:
                await resume(conn, campaign_id, now=utc_now())
            assert (await record(house, campaign_id))["state"] == "sending"


async def test_batches_are_the_written_hash_of_neighbourhoods(house: House) -> None:
    async with house.database.begin() as conn:
        await add_people(conn, 2_400)
    run_id = await prepared(house, await launched(house))
    async with house.database.connect() as conn:
        rows = (await conn.execute(select(messages.c.customer_id, messages.c.batch))).all()
        jobs = text("SELECT count(*) FROM procrastinate_jobs WHERE task_name = 'campaigns.send_batch'")
        assert await conn.scalar(jobs) == 8
        assert await conn.scalar(select(runs.c.batches)) == 8
    assert {row.customer_id: row.batch for row in rows} == {
        row.customer_id: bucket(f"batch:{run_id}:", row.customer_id // NEIGHBOURS, 8) for row in rows
    }


@pytest.mark.parametrize(("people", "size"), [(0, 250), (800, 250), (2_400, 300), (8_000, 1_000), (10**6, 1_000)])
def test_a_batch_is_small_enough_for_several_workers(people: int, size: int) -> None:
    assert batch_size(people) == size


async def test_the_holdout_is_the_same_people_every_time(house: House) -> None:
    async with house.database.begin() as conn:
        people = await add_people(conn, 300)
    expected = {person for person in people if bucket("holdout:", person) < 1_000}
    for name in ("First", "Second"):
        campaign_id = await launched(house, name=name, options={"holdout_percent": 10})
        await prepared(house, campaign_id)
        async with house.database.connect() as conn:
            held = select(messages.c.customer_id).where(
                messages.c.campaign_id == campaign_id, messages.c.reason == "holdout"
            )
            assert set((await conn.execute(held)).scalars()) == expected
    assert 10 < len(expected) < 60


async def test_freezing_twice_changes_nothing(house: House) -> None:
    async with house.database.begin() as conn:
        await add_people(conn, 10)
    campaign_id = await launched(house)
    run_id = await prepared(house, campaign_id)
    before = await record(house, campaign_id)
    async with house.database.begin() as conn:
        await freeze(conn, run_id, context_at(utc_now(), house.settings))
    assert await record(house, campaign_id) == before


async def test_the_links_of_a_run_are_its_own(house: House) -> None:
    async with house.database.begin() as conn:
        await add_people(conn, 1)
    run_id = await prepared(house, await launched(house))
    async with house.database.connect() as conn:
        row = (await conn.execute(select(link_tables))).one()
    assert row.run_id == run_id
    assert row.links == ["https://shop.example/p?c={{ (customer.external_id)|_url }}"]
    assert row.fields == ["customer.external_id"]


async def test_excluded_segments_are_no_part_of_the_audience(house: House) -> None:
    async with house.database.begin() as conn:
        people = await add_people(conn, 5)
        rule = {"field": "external_id", "op": "in", "value": ["p1", "p2"]}
        segment = await create_segment(conn, "Not these", rule)
    campaign_id = await launched(house, exclude_segment_ids=[segment.id])
    await prepared(house, campaign_id)
    async with house.database.connect() as conn:
        assert set(await reasons(conn)) == set(people[2:])


async def test_a_repeated_campaign_without_anybody_finishes_with_a_note(house: House) -> None:
    cron = {"cron": "0 9 * * *", "timezone": "UTC"}
    campaign_id = await launched(house, schedule=cron)
    found = await record(house, campaign_id)
    assert found["state"] == "scheduled"
    assert found["approval"]["warnings"] == ["the audience matches nobody at present"]
    due: datetime = found["next_at"]
    async with house.database.begin() as conn:
        await start(conn, campaign_id, 1, due)
    await work_off(house)
    found = await record(house, campaign_id)
    assert found["state"] == "scheduled"
    assert [(run["state"], run["note"]) for run in found["runs"]] == [
        ("finished", "the audience is empty: nobody to write to")
    ]


async def test_a_run_whose_audience_cannot_be_evaluated_any_more_fails_and_says_why(house: House) -> None:
    async with house.database.begin() as conn:
        await add_people(conn, 2)
        await conn.execute(insert(attribute_definitions).values(key="color", kind="text"))
    rule = {"field": "attributes.color", "op": "empty"}
    campaign_id = await launched(house, rule=rule)
    async with house.database.begin() as conn:
        await conn.execute(delete(attribute_definitions))
    await work_off(house)
    found = await record(house, campaign_id)
    assert (found["state"], found["runs"][0]["state"]) == ("failed", "failed")
    assert "attributes.color" in found["runs"][0]["error"]
