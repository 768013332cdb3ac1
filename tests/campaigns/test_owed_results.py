"""A database that takes no results for longer than the recorder waits: FAULTS.md row 4, small."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import text

from campaigns.dispatch import recorder
from runtime import worker
from runtime.backoff import Backoff
from runtime.house import House
from tests.campaigns.scene import Sink, add_people, finished, launched, working
from tests.waiting import until

CONNECTIONS = 4
FULL = """
    CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full';
    END $$
"""


async def test_no_final_dot_follows_as_long_as_results_are_owed(
    house: House, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = timedelta(milliseconds=50)
    monkeypatch.setattr(recorder, "PATIENCE", 0.0)
    monkeypatch.setattr(worker, "_DISTURBED", Backoff(None, moment, moment))
    async with house.database.begin() as conn:
        people = await add_people(conn, 60)
        await conn.execute(text(FULL))
        await conn.execute(
            text(
                "CREATE TRIGGER full_disk BEFORE UPDATE ON messages FOR EACH ROW WHEN (new.state = 'sent')"
                " EXECUTE FUNCTION full_disk()"
            )
        )
    campaign_id = await launched(house)
    async with working(house):
        await until(lambda: tried_again(house), 60)
        assert 0 < len(sink.mails) <= CONNECTIONS
        async with house.database.begin() as conn:
            await conn.execute(text("DROP TRIGGER full_disk ON messages"))
        found = await finished(house, campaign_id)
    assert found["counts"]["sent"] == len(people)
    assert len(sink.addresses) == len(set(sink.addresses)) == len(people)


async def tried_again(house: House) -> bool:
    """Whether the batch has gone back to the queue several times; each time it finds that something is owed."""
    attempts = text("SELECT max(attempts) FROM procrastinate_jobs WHERE task_name = 'campaigns.send_batch'")
    async with house.database.connect() as conn:
        return int(await conn.scalar(attempts) or 0) >= 4
