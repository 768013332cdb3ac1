"""FAULTS.md row 24 over real campaigns: a template bomb is stopped, fails only whom it is for, and many pause."""

from __future__ import annotations

import time

import pytest
from sqlalchemy import select

from campaigns.content import limits
from campaigns.dispatch import delivery
from campaigns.launch import resume
from runtime.clock import utc_now
from runtime.errors import Invalid
from runtime.house import House
from tests.campaigns.scene import Sink, add_people, launched, record, work_off
from tracking.models import messages

PEOPLE = 30
ENDLESS = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"
BOMBS = {
    "p3@example.com": ("{% for i in range(10**9) %}x{% endfor %}", "range"),
    "p5@example.com": (ENDLESS, "takes longer than 1 s"),
    "p8@example.com": ("{% for i in range(99999) %}" + "x" * 1000 + "{% endfor %}", "longer than 1000000 bytes"),
    "p13@example.com": ("{{ 'x' * 100000000 }}", "text cannot be computed with"),
    "p21@example.com": ("{{ 1 // (customer.name|length - 9) }}", "zero"),
}


@pytest.fixture
async def people(house: House) -> None:
    async with house.database.begin() as conn:
        await add_people(conn, PEOPLE)


def content(*texts: tuple[str, str]) -> dict[str, str]:
    """A mail whose HTML has something more for the people of these names."""
    extra = "".join(f"{{% if customer.name == '{name}' %}}{text}{{% endif %}}" for name, text in texts)
    return {"subject": "Hello {{ customer.name }}", "html": f"<p>Dear {{{{ customer.name }}}}</p>{extra}"}


async def reasons(house: House, campaign_id: int) -> dict[str, str]:
    async with house.database.connect() as conn:
        failed = select(messages.c.address, messages.c.reason).where(messages.c.state == "failed")
        return {row.address: row.reason for row in await conn.execute(failed)}


async def test_each_bomb_fails_its_recipient_alone(house: House, sink: Sink, people: None) -> None:
    bombs = [(f"Person {address[1:].split('@')[0]}", text) for address, (text, _) in BOMBS.items()]
    campaign_id = await launched(house, content=content(*bombs))
    begun = time.process_time()
    await work_off(house)
    assert time.process_time() - begun < 10  # one takes its whole second, the others hardly any
    found = await record(house, campaign_id)
    assert (found["state"], found["counts"]["failed"], found["counts"]["sent"]) == ("finished", 5, PEOPLE - 5)
    assert not set(sink.addresses) & set(BOMBS)
    failed = await reasons(house, campaign_id)
    assert set(failed) == set(BOMBS)
    for address, (_, words) in BOMBS.items():
        assert failed[address].startswith("the content cannot be rendered for this person")
        assert words in failed[address]


async def test_a_missing_value_is_empty_and_an_unknown_name_never_starts(
    house: House, sink: Sink, people: None
) -> None:
    missing = {
        "subject": "Hello",
        "html": "<p>[{{ customer.district }}{{ appliance.model }}{{ order.amount + 1 }}]</p>",
    }
    campaign_id = await launched(house, content=missing)
    await work_off(house)
    found = await record(house, campaign_id)
    assert (found["state"], found["counts"]["sent"], len(sink.mails)) == ("finished", PEOPLE, PEOPLE)
    assert all("[]" in mail.get_body(("html",)).get_content() for _, mail in sink.mails)
    with pytest.raises(Invalid, match=r"unknown name customer\.nothing"):
        await launched(house, content={"subject": "{{ customer.nothing }}", "html": "<p>x</p>"})


async def test_bombs_for_many_pause_the_campaign_and_nothing_goes_on(
    house: House, sink: Sink, people: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_SECONDS", 0.02)
    campaign_id = await launched(house, content={"subject": "s", "html": f"<p>x</p>{ENDLESS}"})
    await work_off(house)
    found = await record(house, campaign_id)
    assert found["state"] == "paused"
    assert found["pause_reason"].startswith("10 of 10 messages could not be rendered, the last one: ")
    assert (found["counts"]["failed"], found["counts"]["queued"]) == (10, PEOPLE - 10)
    assert sink.mails == []


async def test_a_few_that_take_their_whole_time_pause_it_too(
    house: House, sink: Sink, people: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too few for the share of failures, but the others wait for each of them; who resumes gets on."""
    monkeypatch.setattr(limits, "MAX_SECONDS", 0.05)
    monkeypatch.setattr(delivery, "BAD_SECONDS", 0.08)
    campaign_id = await launched(house, content=content(("Person 3", ENDLESS), ("Person 5", ENDLESS)))
    await work_off(house)
    found = await record(house, campaign_id)
    assert found["state"] == "paused"
    assert "could not be rendered" in found["pause_reason"]
    async with house.database.begin() as conn:
        await resume(conn, campaign_id, now=utc_now())
    await work_off(house)
    found = await record(house, campaign_id)
    assert (found["state"], found["counts"]["failed"], found["counts"]["sent"]) == ("finished", 2, PEOPLE - 2)
    assert len(sink.addresses) == len(set(sink.addresses)) == PEOPLE - 2
