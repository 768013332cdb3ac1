"""Create, launch, freeze, send, finish: the loop of one campaign."""

from __future__ import annotations

from email.headerregistry import Address

from campaigns import halt, store
from campaigns.launch import launch
from campaigns.templates import create_template, update_template
from runtime.clock import utc_now
from runtime.house import House
from segments.store import create_segment, update_segment
from tests.campaigns.scene import Sink, add_people, body, launched, links_of, record, work_off


async def test_a_campaign_reaches_everybody_once(house: House, sink: Sink) -> None:
    async with house.database.begin() as conn:
        await add_people(conn, 25)
    campaign_id = await launched(house)
    await work_off(house)
    found = await record(house, campaign_id)
    assert found["state"] == "finished"
    assert [run["state"] for run in found["runs"]] == ["finished"]
    assert {key: found["counts"][key] for key in ("audience", "sent", "queued", "sending")} == {
        "audience": 25,
        "sent": 25,
        "queued": 0,
        "sending": 0,
    }
    assert sorted(sink.addresses) == sorted(f"p{number}@example.com" for number in range(1, 26))
    assert len(set(sink.ids)) == 25


async def test_each_mail_is_its_recipients_own(house: House, sink: Sink) -> None:
    async with house.database.begin() as conn:
        await add_people(conn, 3)
    await launched(house)
    await work_off(house)
    for address, mail in sink.mails:
        name = f"Person {address.removeprefix('p').partition('@')[0]}"
        assert mail["Subject"] == f"Hello {name}"
        assert mail["To"].addresses == (Address(name, addr_spec=address),)
        assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        assert str(mail["List-Unsubscribe"]).startswith("<http://127.0.0.1:8000/u/")
        assert any(link.startswith("http://127.0.0.1:8000/c/") for link in links_of(mail))
        assert name in mail.get_body(("plain",)).get_content()
    assert len({str(mail["List-Unsubscribe"]) for _, mail in sink.mails}) == 3


async def test_what_was_approved_is_what_goes_out(house: House, sink: Sink) -> None:
    """FAULTS.md row 6: template, segment and sender edited after the launch change nothing."""
    async with house.database.begin() as conn:
        await add_people(conn, 4)
        rule = {"field": "city", "op": "eq", "value": "西安"}
        segment = await create_segment(conn, "Xi'an", rule)
        kept = {"name": "T", "channel": "email", "subject": "First", "html": "<p>First</p>"}
        template_id = await create_template(conn, kept, settings=house.settings, by=None)
        changes = {"rule": None, "segment_id": segment.id, "content": None, "template_id": template_id}
        campaign_id = await store.create_campaign(
            conn, {**body(), **changes, "from": "Shop <shop@first.example>"}, settings=house.settings, by=None
        )
        await launch(conn, campaign_id, settings=house.settings, now=utc_now())
        await update_segment(conn, segment.id, rule={"any": []})
        await update_template(conn, template_id, {**kept, "subject": "Second"}, settings=house.settings)
    await work_off(house)
    assert len(sink.mails) == 4
    assert {str(mail["Subject"]) for _, mail in sink.mails} == {"First"}
    assert {str(mail["From"]) for _, mail in sink.mails} == {"Shop <shop@first.example>"}


async def test_cancel_before_anything_went_out(house: House, sink: Sink) -> None:
    async with house.database.begin() as conn:
        await add_people(conn, 5)
    campaign_id = await launched(house)
    async with house.database.begin() as conn:
        await halt.cancel(conn, campaign_id, now=utc_now())
    await work_off(house)
    found = await record(house, campaign_id)
    assert (found["state"], found["runs"][0]["state"], found["counts"]["audience"]) == ("cancelled", "cancelled", 0)
    assert sink.mails == []
