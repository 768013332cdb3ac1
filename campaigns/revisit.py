"""What a recipient comes back to: where a personal link leads, and the mail again in a browser; from the run's
snapshot."""

from __future__ import annotations

from datetime import datetime
from urllib.parse import urlsplit

from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns.content import Rendered, RenderFailed
from campaigns.dispatch.letters import message_links
from campaigns.dispatch.work import Run, load_run, people_of
from campaigns.people import Person
from customers.surveys import Survey
from runtime.clock import utc_now
from runtime.errors import NotFound
from runtime.house import House
from tracking.ledger import MessageKey
from tracking.survey_tokens import ANSWERED_WITHIN, SurveyRef, survey_token
from tracking.tokens import MessageUrls
from tracking.tracker import Standing


async def click_target(conn: AsyncConnection, house: House, message: Standing, link: int) -> str:
    """Where the personal link number `link` leads for the recipient; the front page of its site where their record no
    longer fits it."""
    run = await _run(conn, message)
    edition, own = run.editions.of_link(link)
    if (asked := edition.content.survey(own)) is not None:
        return survey_address(house, message.key, *asked, message.sent_at or utc_now())
    person = await _person(conn, house, message, run)
    try:
        return edition.content.click_target(own, person)
    except RenderFailed:
        place = urlsplit(edition.content.links[own].template)
        return f"{place.scheme}://{place.netloc}/"


async def in_browser(conn: AsyncConnection, house: House, message: Standing) -> Rendered:
    """The mail as its recipient sees it, with tracked links and no pixel. Raises NotFound where it cannot be
    shown."""
    run = await _run(conn, message)
    person = await _person(conn, house, message, run)
    urls = MessageUrls(house.signer, house.settings.public_url, message.key)
    edition = run.editions.of(message.variant)
    try:
        return edition.content.render(person, message_links(urls, edition.offset)._replace(pixel=""))
    except RenderFailed as error:
        raise NotFound("this message cannot be shown any more") from error


def survey_address(house: House, key: MessageKey, survey: Survey, score: int | None, sent_at: datetime) -> str:
    """The page on which the recipient of a message answers a survey; `score`: what they tapped."""
    token = survey_token(house.signer, SurveyRef(key, survey, score), sent_at + ANSWERED_WITHIN)
    return f"{house.settings.public_url}/r/{token}"


async def _run(conn: AsyncConnection, message: Standing) -> Run:
    run = await load_run(conn, message.key.run_id)
    if run is None:
        raise NotFound("this campaign was deleted")
    return run


async def _person(conn: AsyncConnection, house: House, message: Standing, run: Run) -> Person:
    at: datetime = message.sent_at or utc_now()
    people = await people_of(conn, run, [message.key.customer_id], house.settings, at)
    return people[message.key.customer_id]
