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
from runtime.clock import utc_now
from runtime.errors import NotFound
from runtime.house import House
from tracking.tokens import MessageUrls
from tracking.tracker import Standing


async def click_target(conn: AsyncConnection, house: House, message: Standing, link: int) -> str:
    """Where the personal link number `link` leads for the recipient; the front page of its site where their record no
    longer fits it."""
    run, person = await _of(conn, house, message)
    edition, own = run.editions.of_link(link)
    try:
        return edition.content.click_target(own, person)
    except RenderFailed:
        place = urlsplit(edition.content.links[own].template)
        return f"{place.scheme}://{place.netloc}/"


async def in_browser(conn: AsyncConnection, house: House, message: Standing) -> Rendered:
    """The mail as its recipient sees it, with tracked links and no pixel. Raises NotFound where it cannot be
    shown."""
    run, person = await _of(conn, house, message)
    urls = MessageUrls(house.signer, house.settings.public_url, message.key)
    edition = run.editions.of(message.variant)
    try:
        return edition.content.render(person, message_links(urls, edition.offset)._replace(pixel=""))
    except RenderFailed as error:
        raise NotFound("this message cannot be shown any more") from error


async def _of(conn: AsyncConnection, house: House, message: Standing) -> tuple[Run, Person]:
    run = await load_run(conn, message.key.run_id)
    if run is None:
        raise NotFound("this campaign was deleted")
    at: datetime = message.sent_at or utc_now()
    people = await people_of(conn, run, [message.key.customer_id], house.settings, at)
    return run, people[message.key.customer_id]
