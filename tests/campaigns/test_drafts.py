"""Drafts and templates: each culprit is named when a campaign is saved, approved or tested."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns import store, templates
from campaigns.draft import read_draft
from campaigns.launch import launch
from runtime.clock import utc_now
from runtime.errors import Conflict, Invalid, NotFound
from runtime.house import House
from runtime.settings import BadSetting, Settings
from segments.store import create_segment, delete_segment
from tests.campaigns.scene import add_people, body, launched
from tracking.models import campaign_names

SHAPES: dict[str, tuple[dict[str, Any], set[str]]] = {
    "no name": ({"name": " "}, {"name"}),
    "two lines of name": ({"name": "a\nb"}, {"name"}),
    "no audience": ({"rule": None}, {"segment_id"}),
    "two audiences": ({"segment_id": 3}, {"rule"}),
    "no content": ({"content": None}, {"content"}),
    "content and template": ({"template_id": 3}, {"template_id"}),
    "strange field": ({"colour": "red"}, {"colour"}),
    "strange content": ({"content": {"subject": "x", "htlm": "y"}}, {"content.htlm"}),
    "id as text": ({"rule": None, "segment_id": "3"}, {"segment_id"}),
    "excluded as text": ({"exclude_segment_ids": [1, "2"]}, {"exclude_segment_ids[1]"}),
    "sender in two lines": ({"from": "a@b.example\r\nBcc: x@y.example"}, {"from"}),
    "later option": ({"options": {"recipient_local_time": True}}, {"options.recipient_local_time"}),
    "unknown option": ({"options": {"speed": 3}}, {"options.speed"}),
    "bad rate": ({"options": {"rate_per_second": 0}}, {"options.rate_per_second"}),
    "bad holdout": ({"options": {"holdout_percent": True}}, {"options.holdout_percent"}),
    "several": (
        {"name": "", "schedule": {"at": "x"}, "options": {"speed": 3}},
        {"name", "schedule.at", "options.speed"},
    ),
}


@pytest.mark.parametrize("case", SHAPES)
def test_every_culprit_is_named(case: str) -> None:
    changes, culprits = SHAPES[case]
    with pytest.raises(Invalid) as caught:
        read_draft(body(**changes))
    assert {problem.path for problem in caught.value.problems} == culprits


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no such segment": ({"rule": None, "segment_id": 99}, "segment_id: there is no segment 99"),
    "no such audience": ({"rule": None, "audience_id": 99}, "audience_id: there is no audience 99"),
    "no such template": ({"content": None, "template_id": 99}, "template_id: there is no template 99"),
    "no such channel": ({"channel": "pigeon"}, "channel: unknown channel 'pigeon'; there are: email"),
    "broken template": ({"content": {"subject": "{{ customer.name", "html": "<p>x</p>"}}, "content.subject"),
    "unknown name": ({"content": {"subject": "x", "html": "<p>{{ customer.nmae }}</p>"}}, "content.html"),
    "unknown field": ({"rule": {"field": "ctiy", "op": "eq", "value": "x"}}, "rule.field: unknown field 'ctiy'"),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_what_cannot_be_sent_is_not_even_saved(house: House, case: str) -> None:
    changes, words = REFUSED[case]
    async with house.database.begin() as conn:
        with pytest.raises(Invalid) as caught:
            await store.create_campaign(conn, body(**changes), settings=house.settings, by=None)
    assert words in str(caught.value)


async def test_a_draft_is_read_changed_copied_and_forgotten(house: House) -> None:
    given = body(
        options={"rate_per_second": 5}, schedule={"cron": "0 9 * * *", "timezone": "UTC"}, **{"from": "S <s@x.example>"}
    )
    async with house.database.begin() as conn:
        campaign_id = await store.create_campaign(conn, given, settings=house.settings, by="me")
        found = await store.campaign(conn, campaign_id)
        again = store.body_of(found)
        assert {key: again[key] for key in given} == given | {"options": {"rate_per_second": 5.0}}
        await store.update_campaign(conn, campaign_id, {**again, "name": "Summer"}, settings=house.settings)
        assert (await store.campaign(conn, campaign_id)).name == "Summer"
        assert await conn.scalar(select(campaign_names.c.name_folded)) == "summer"
        await store.delete_campaign(conn, campaign_id)
        with pytest.raises(NotFound, match="there is no campaign"):
            await store.campaign(conn, campaign_id)
        assert await conn.scalar(select(campaign_names.c.name)) is None


async def test_what_was_launched_is_neither_changed_nor_forgotten(house: House) -> None:
    async with house.database.begin() as conn:
        await add_people(conn, 1)
    campaign_id = await launched(house)
    async with house.database.begin() as conn:
        with pytest.raises(Conflict, match="to edit it, it must be draft"):
            await store.update_campaign(conn, campaign_id, body(), settings=house.settings)
        with pytest.raises(Conflict, match="to delete it, it must be draft"):
            await store.delete_campaign(conn, campaign_id)


async def test_a_segment_in_use_is_kept(house: House) -> None:
    async with house.database.begin() as conn:
        segment = await create_segment(conn, "All", {"all": []})
        ways: list[dict[str, Any]] = [
            {"rule": None, "segment_id": segment.id},
            {"exclude_segment_ids": [segment.id]},
            {"rule": {"any": [{"in_segment": segment.id}]}},
        ]
        for way in ways:
            await store.create_campaign(conn, body(**way), settings=house.settings, by=None)
        with pytest.raises(Conflict, match=r"is used by campaign 1 \(Spring\), campaign 2 .*, campaign 3 "):
            await delete_segment(conn, segment.id)


async def approve(conn: AsyncConnection, settings: Settings, **changes: object) -> None:
    campaign_id = await store.create_campaign(conn, body(**changes), settings=settings, by=None)
    await launch(conn, campaign_id, settings=settings, now=utc_now())


async def test_approval_names_an_empty_segment_a_bad_sender_and_a_bad_setting(house: House) -> None:
    async with house.database.begin() as conn:
        with pytest.raises(Invalid, match="rule: matches nobody"):
            await approve(conn, house.settings)
        await add_people(conn, 1)
        with pytest.raises(Invalid, match=r"^from: 'nobody at all' is not like"):
            await approve(conn, house.settings, **{"from": "nobody at all"})
        bad = dataclasses.replace(house.settings, smtp_url="smtp://127.0.0.1:25?conections=3")
        with pytest.raises(BadSetting, match="HEARTH_SMTP_URL: unknown option 'conections'"):
            await approve(conn, bad)


async def test_templates(house: House) -> None:
    given = {"name": "Hello", "channel": "email", "subject": "Hi {{ customer.name }}", "html": "<p>Hi</p>"}
    async with house.database.begin() as conn:
        template_id = await templates.create_template(conn, given, settings=house.settings, by="me")
        found = templates.template_record(await templates.template(conn, template_id))
        assert {key: found[key] for key in given} == given
        asked = body(content=None, template_id=template_id)
        await store.create_campaign(conn, asked, settings=house.settings, by=None)
        with pytest.raises(Conflict, match=f"template {template_id} is used by campaign 1"):
            await templates.delete_template(conn, template_id)
        broken = {**given, "html": "{% if %}"}
        with pytest.raises(Invalid, match=r"^html: "):
            await templates.update_template(conn, template_id, broken, settings=house.settings)
    async with house.database.connect() as conn:
        with pytest.raises(Conflict, match="there is another template named 'Hello'"):
            await templates.create_template(conn, given, settings=house.settings, by="me")
