"""Whether somebody may be written to is said three times: by a rule, by a freeze, and before the final dot.

All of them, and a plain Python reading, agree over generated people.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import ColumnElement, insert, select, true
from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns import freeze
from campaigns.models import runs
from campaigns.permission import barred, chosen_address, chosen_addresses, with_reason
from customers.models import (
    contact_addresses,
    customers,
    standing_consents,
    suppressed_addresses,
    suppressions,
)
from runtime.clock import utc_now
from runtime.house import House
from runtime.registry import ChannelKind
from segments import engine
from segments.context import EvaluationContext
from tests.campaigns.scene import launched
from tracking.models import messages

EMAIL = ChannelKind("email", "email")
REACHABLE = {"field": "reachable.email", "op": "is", "value": True}
NOW = datetime(2026, 11, 22, 8, tzinfo=UTC)
ADDRESSES = [("email", f"{name}@example.com") for name in "abcdef"] + [("phone", "+8613800138000")]
REASONS = ["unsubscribed", "bounced", "complained", "manual"]

Row = dict[str, Any]


def expiry(rng: Random, now: datetime) -> datetime | None:
    """Never, or at about `now`: an hour and a microsecond around."""
    steps = [timedelta(microseconds=step) for step in (-3_600_000_000, -1, 0, 1, 3_600_000_000)]
    return rng.choice([None, *(now + step for step in steps)])


def person(rng: Random, customer_id: int, now: datetime) -> dict[str, list[Row]]:
    """What is kept about a customer, table by table."""
    own = {"customer_id": customer_id}
    at = {"at": now - timedelta(days=1)}
    consents = [(channel, purpose) for channel in ("email", "sms") for purpose in ("marketing", "service")]
    return {
        "contact_addresses": [
            {**own, "kind": kind, "value": value, "is_primary": place == 0, "created_at": now - timedelta(days=place)}
            for place, (kind, value) in enumerate(rng.sample(ADDRESSES, rng.choice([0, 1, 1, 2, 3])))
        ],
        "standing_consents": [
            {**own, **at, "channel": channel, "purpose": purpose, "granted": rng.random() < 0.8, "source": "test"}
            for channel, purpose in consents
            if rng.random() < 0.7
        ],
        "suppressions": [
            {**own, **at, "channel": rng.choice(["email", "email", "sms"]), "reason": reason,
             "address": rng.choice([None, *(value for _, value in ADDRESSES)]), "expires_at": expiry(rng, now)}
            for reason in rng.sample(REASONS, rng.choice([0, 0, 1, 2]))
        ],
    }  # fmt: skip


def suppressed(rng: Random, now: datetime) -> list[Row]:
    """Addresses at which nobody may be contacted."""
    return [
        {"kind": kind, "value": value, "reason": "bounced", "at": now, "expires_at": expiry(rng, now)}
        for kind, value in rng.sample(ADDRESSES, 2)
    ]


def refused(address: str, one: dict[str, list[Row]], places: list[Row], now: datetime) -> bool:
    """Whether this address of theirs may not be used, whatever they consented to."""
    about = [row for row in one["suppressions"] if row["channel"] == "email" and row["address"] in (None, address)]
    about += [row for row in places if (row["kind"], row["value"]) == ("email", address)]
    return any(row["expires_at"] is None or row["expires_at"] > now for row in about)


def consented(one: dict[str, list[Row]]) -> bool:
    standing = [row for row in one["standing_consents"] if (row["channel"], row["purpose"]) == ("email", "marketing")]
    return any(row["granted"] for row in standing)


def mails(one: dict[str, list[Row]]) -> list[str]:
    return [row["value"] for row in one["contact_addresses"] if row["kind"] == "email"]


def may_be_written_to(one: dict[str, list[Row]], places: list[Row], now: datetime) -> bool:
    return consented(one) and any(not refused(address, one, places, now) for address in mails(one))


async def keep(conn: AsyncConnection, people: dict[int, dict[str, list[Row]]], places: list[Row]) -> None:
    await conn.execute(insert(customers), [{"id": number} for number in people])
    for table in (contact_addresses, standing_consents, suppressions):
        rows = [row for one in people.values() for row in one[table.name]]
        if rows:
            await conn.execute(insert(table), rows)
    await conn.execute(insert(suppressed_addresses), places)


@settings(
    max_examples=40,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(seed=st.integers(0, 2**32))
async def test_the_rule_and_the_final_dot_agree(conn: AsyncConnection, seed: int) -> None:
    """Whoever is reachable has an address that is not barred, and nobody else has: to the microsecond."""
    rng = Random(seed)
    people = {number: person(rng, number, NOW) for number in range(1, 31)}
    places = suppressed(rng, NOW)
    savepoint = await conn.begin_nested()
    try:
        await keep(conn, people, places)
        page = await engine.members(conn, REACHABLE, EvaluationContext(NOW, "Asia/Shanghai"))
        reachable = {member.id for member in page.items}
        free: set[int] = set()
        for place in range(3):  # one address of each at a time
            asked = [(number, mails(one)[place]) for number, one in people.items() if len(mails(one)) > place]
            said = await barred(conn, asked, EMAIL, NOW)
            free |= {number for number, _ in asked} - said.keys()
        assert reachable == free
        assert reachable == {number for number, one in people.items() if may_be_written_to(one, places, NOW)}
        looked_up = customers.outerjoin(chosen := chosen_address(customers.c.id, EMAIL, NOW), true())
        addresses = await _fine(conn, looked_up, chosen.c.address)
        assert reachable == addresses.keys()
        all_chosen = chosen_addresses(EMAIL, NOW)
        sorted_once = customers.outerjoin(all_chosen, all_chosen.c.customer_id == customers.c.id)
        assert addresses == await _fine(conn, sorted_once, all_chosen.c.address)
    finally:
        await savepoint.rollback()


async def _fine(conn: AsyncConnection, targets: Any, address: ColumnElement[Any]) -> dict[int, str]:
    """Who may be contacted at the address chosen for them, and at which."""
    joined, reason = with_reason(targets, customers.c.id, address, EMAIL, NOW)
    rows = await conn.execute(select(customers.c.id, address).select_from(joined).where(reason.is_(None)))
    return {row[0]: row[1] for row in rows}


@pytest.mark.parametrize("many", [freeze.MANY, 0])
async def test_a_freeze_writes_to_those_whom_the_rule_calls_reachable(
    house: House, monkeypatch: pytest.MonkeyPatch, many: int
) -> None:
    """One run to 400 people, each of whom gets a message, or the reason why not; in both ways to choose an address."""
    monkeypatch.setattr(freeze, "MANY", many)
    rng, now = Random(7), utc_now()
    people = {number: person(rng, number, now + timedelta(minutes=30)) for number in range(1, 401)}
    places = suppressed(rng, now + timedelta(minutes=30))
    async with house.database.begin() as conn:
        await keep(conn, people, places)
    campaign_id = await launched(house)
    async with house.database.connect() as conn:
        run_id = await conn.scalar(select(runs.c.id).where(runs.c.campaign_id == campaign_id))
    await freeze.prepare_run(house, run_id=run_id)
    async with house.database.begin() as conn:
        written = select(messages.c.customer_id, messages.c.address, messages.c.reason).where(
            messages.c.run_id == run_id
        )
        found = {row.customer_id: row for row in await conn.execute(written)}
        page = await engine.members(conn, REACHABLE, EvaluationContext(now, "Asia/Shanghai"), limit=500)
    assert found.keys() == people.keys()
    reachable = {member.id for member in page.items}
    assert {number for number, row in found.items() if row.reason in (None, "duplicate_address")} == reachable
    for number, one in people.items():
        address, reason = found[number].address, found[number].reason
        if number in reachable:
            assert not refused(address, one, places, now), (number, one)
        else:
            assert (reason == "no_address") is (not mails(one)), (number, one)
            assert reason != "no_consent" or not consented(one)
