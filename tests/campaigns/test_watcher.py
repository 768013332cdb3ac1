"""The poller goes on while somebody watches, whatever becomes of a turn."""

from __future__ import annotations

import pytest
from sqlalchemy import select, text

from campaigns.freeze import prepare_run
from campaigns.live import watcher
from campaigns.live.watcher import EVERY, LONGEST, Watcher, rest
from campaigns.models import runs
from runtime.clock import utc_now
from runtime.house import House
from tests.campaigns.scene import add_people, launched
from tests.waiting import until
from tracking.ledger import MessageKey, Outcome, record_outcomes
from tracking.states import State

PEOPLE = 12


def test_the_rest_after_a_turn_is_bounded_on_both_sides() -> None:
    assert [rest(took) for took in (0.0, 0.1, 1.0, 60.0)] == [EVERY, EVERY, 4.0, LONGEST]


async def test_a_turn_that_fails_for_no_known_reason_is_told_and_not_the_last(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(watcher, "EVERY", 0.02)
    monkeypatch.setattr(watcher, "LONGEST", 0.05)
    async with house.database.begin() as conn:
        people = await add_people(conn, PEOPLE)
    campaign_id = await launched(house)
    async with house.database.connect() as conn:
        run_id = await conn.scalar(select(runs.c.id))
    await prepare_run(house, run_id=run_id)

    looking = Watcher(house.database)

    def sent() -> int | None:
        picture = looking.picture(campaign_id)
        return picture.counts["sent"] if picture else None

    with looking.watching(campaign_id):
        await until(lambda: sent() == 0)
        await renamed(house, "runs", "lost")
        await until(lambda: caplog.text.count("counted anew") >= 2)
        assert sent() == 0  # it stands still
        async with house.database.begin() as conn:
            taken = [Outcome(MessageKey(person, run_id), State.SENT, utc_now()) for person in people]
            await record_outcomes(conn, taken)
        await renamed(house, "lost", "runs")
        await until(lambda: sent() == PEOPLE)
    await looking.close()
    assert "UndefinedTable" in caplog.text


async def renamed(house: House, old: str, new: str) -> None:
    async with house.database.begin() as conn:
        await conn.execute(text(f"ALTER TABLE {old} RENAME TO {new}"))
