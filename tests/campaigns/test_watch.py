"""A batch that begins asks about those who changed since the freeze judged everybody, and about nobody else."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import delete, select, update

from campaigns.dispatch.watch import MANY, REMEMBERED, Judged, Ward, Watch
from campaigns.freeze import prepare_run
from campaigns.models import runs
from campaigns.respect.underway import Courtesy
from customers.changes import CUSTOMERS, note_changed
from customers.consents import Consent, ConsentEntry, record_consents
from customers.models import contact_addresses, standing_consents
from customers.suppressions import SuppressedAddress, suppress_addresses
from runtime.clock import utc_now
from runtime.house import House
from runtime.registry import ChannelKind
from tests.campaigns.scene import add_people, launched
from tests.waiting import until

EMAIL = ChannelKind("email", "email")


@pytest.fixture
async def people(house: House) -> list[int]:
    """Twelve, of a run that is frozen."""
    async with house.database.begin() as conn:
        ids = await add_people(conn, 12)
    await launched(house)
    async with house.database.connect() as conn:
        run_id = await conn.scalar(select(runs.c.id))
    await prepare_run(house, run_id=run_id)
    return ids


async def barred(house: House, people: list[int], **changes: object) -> dict[int, str]:
    """What the first look at a batch of them says."""
    async with house.database.connect() as conn:
        run = (await conn.execute(select(runs.c["id", "frozen_snapshot", "frozen_at"]))).one()
    judged = Judged(run.frozen_snapshot, run.frozen_at)._replace(**changes)
    addresses = {number: f"p{place}@example.com" for place, number in enumerate(people, 1)}
    ward = Ward(run.id, EMAIL, addresses, judged, None, Courtesy(run.id))
    watch = Watch(house.database)
    try:
        with watch.over(ward):
            await until(lambda: ward.fresh)
    finally:
        await watch.close()
    return dict(ward.barred)


async def test_whoever_changed_since_the_freeze_is_judged_anew(house: House, people: list[int]) -> None:
    withdrawn, moved, other, *_ = people
    async with house.database.begin() as conn:
        no = Consent("email", "marketing", False, "test", utc_now())
        await record_consents(conn, [ConsentEntry(withdrawn, no)], now=utc_now())
        mine = contact_addresses.c.customer_id == moved
        await conn.execute(update(contact_addresses).where(mine).values(value="new@example.com"))
        await note_changed(conn, CUSTOMERS, [moved])
        gone = [SuppressedAddress("email", f"p{place}@example.com", "bounced", utc_now()) for place in (2, 3)]
        await suppress_addresses(conn, gone)
    found = await barred(house, people)
    assert found == {withdrawn: "unsubscribed", moved: "suppressed: bounced", other: "suppressed: bounced"}


async def test_others_are_not_asked_about(house: House, people: list[int]) -> None:
    async with house.database.begin() as conn:  # nothing notes it, as nothing in earnest does
        await conn.execute(delete(standing_consents).where(standing_consents.c.customer_id == people[0]))
    assert await barred(house, people) == {}


@pytest.mark.parametrize("changes", [{"snapshot": None}, {"at": utc_now() - REMEMBERED - timedelta(seconds=1)}])
async def test_where_nobody_can_tell_who_changed_everybody_is_asked_about(
    house: House, people: list[int], changes: dict[str, object]
) -> None:
    async with house.database.begin() as conn:
        await conn.execute(delete(standing_consents).where(standing_consents.c.customer_id == people[0]))
    assert await barred(house, people, **changes) == {people[0]: "no_consent"}


@pytest.mark.parametrize("noted", [None, range(10**9, 10**9 + MANY + 1)])
async def test_after_very_many_changes_everybody_is_asked_about(
    house: House, people: list[int], noted: range | None
) -> None:
    async with house.database.begin() as conn:
        await conn.execute(delete(standing_consents).where(standing_consents.c.customer_id == people[0]))
        await note_changed(conn, CUSTOMERS, noted)
    assert await barred(house, people) == {people[0]: "no_consent"}
