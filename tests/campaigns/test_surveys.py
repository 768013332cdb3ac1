"""A survey from the campaign to the record: sent, tapped, answered."""

from __future__ import annotations

import re
from datetime import timedelta

from sqlalchemy import select

from campaigns.revisit import click_target, in_browser
from campaigns.surveys import answer, question
from customers.models import ratings
from customers.ratings import How
from runtime.clock import utc_now
from runtime.house import House
from runtime.signing import Purpose
from tests.campaigns.scene import Sink, add_people, launched, work_off
from tracking.survey_tokens import read_survey_token
from tracking.tokens import read_token
from tracking.tracker import standing

CONTENT = {"subject": "How was it?", "html": '<p>Dear {{ customer.name }}</p>{{ survey("nps", "Would you?") }}'}


async def test_an_answer_comes_back_to_its_campaign(house: House, sink: Sink) -> None:
    async with house.database.begin() as conn:
        [person] = await add_people(conn, 1)
    campaign_id = await launched(house, content=CONTENT)
    await work_off(house)
    [(_, mail)] = sink.mails
    part = mail.get_body(("html",))
    assert part is not None
    addresses = re.findall(r'href="([^"]+/c/[^"]+)"[^>]*>(\d+)</a>', part.get_content())
    assert [int(score) for _, score in addresses] == list(range(11))
    assert "Would you?" in part.get_content()
    soon = utc_now() + timedelta(minutes=5)
    async with house.database.begin() as conn:
        for address, score in addresses:
            ref = read_token(house.signer, address.rpartition("/")[2], Purpose.CLICK)
            message = await standing(conn, ref.key)
            token = (await click_target(conn, house, message, ref.link)).rpartition("/")[2]
            asked = read_survey_token(house.signer, token, utc_now())
            assert (asked.key, asked.survey.name, asked.score) == (ref.key, "nps", int(score))
        assert (await question(conn, asked)).answer is None
        assert await answer(
            conn, asked, 9, How.TOUCHED, machine=None, agent="a browser", settings=house.settings, now=soon
        )
        assert (await question(conn, asked)).answer == 9
        shown = await in_browser(conn, house, message)
        row = (await conn.execute(select(ratings))).one()
    assert addresses[0][0] in str(shown.html)
    assert (row.customer_id, row.campaign_id, row.channel, row.score, row.counts) == (
        person,
        campaign_id,
        "email",
        9,
        True,
    )
