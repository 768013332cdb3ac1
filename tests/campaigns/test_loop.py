"""Create, launch, freeze, send, finish: the loop of one campaign."""

from __future__ import annotations

from campaigns import store
from campaigns.launch import launch
from campaigns.states import State
from runtime.clock import utc_now
from runtime.house import House
from tests.campaigns.scene import Sink, add_people, body, links_of, work_off
from tracking.ledger import campaign_counts


async def test_a_campaign_reaches_everybody_once(house: House, sink: Sink) -> None:
    async with house.database.begin() as conn:
        await add_people(conn, 25)
        campaign_id = await store.create_campaign(conn, body(), settings=house.settings, by="me")
        await launch(conn, campaign_id, settings=house.settings, now=utc_now())
    await work_off(house)
    async with house.database.connect() as conn:
        found = await store.campaign(conn, campaign_id)
        counts = await campaign_counts(conn, campaign_id)
    assert found.state is State.FINISHED
    assert (counts.audience, counts.sent, counts.queued) == (25, 25, 0)
    assert sorted(sink.addresses) == sorted(f"p{number}@example.com" for number in range(1, 26))
    assert len(set(sink.ids)) == 25
    address, mail = sink.mails[0]
    number = address.removeprefix("p").partition("@")[0]
    assert mail["Subject"] == f"Hello Person {number}"
    assert any("/c/" in link for link in links_of(mail))
