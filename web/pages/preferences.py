"""The preference centre: what somebody hears from us, how often and when, and the unsubscribe that needs one click.

No sign-in: the token speaks. Looking changes nothing; an answer to a POST means that it is committed and that whatever
is being sent obeys within seconds.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response

from customers.merging import held
from customers.models import consents
from customers.preferences import FREQUENCIES, PAUSES, Frequency, Preferences, Wishes, preferences_of, save_wishes
from customers.signups import FORM_SOURCE
from customers.suppressions import Suppression, suppressions_of
from customers.topics import Topic, list_topics, topic_of
from runtime.clock import utc_now
from runtime.errors import Unavailable
from runtime.registry import channel_kinds
from runtime.signing import Purpose
from tracking.facts import Fact, FactKind
from tracking.ledger import MessageKey
from tracking.tokens import read_token
from web.access import KIB, RECIPIENTS, Route, house_of
from web.i18n import LANGUAGES, N_, _, use_language
from web.pages.public import friendly, tracker_of
from web.recipients import Recipient, recipient_of_link, recipient_of_message
from web.render import page
from web.words import topic_name

LIMIT = 16 * KIB
FIELDS = 200
ENTRIES = 50
PATIENCE = 3.0  # seconds that an unsubscription waits for a database that neither answers nor refuses
PAGE = "page"
CHANGED = "changed"
SOURCES = {
    "one-click": N_("the unsubscribe button of your mail program"),
    "page": N_("this page"),
    "console": N_("what you told our staff"),
    "import": N_("our earlier records"),
    "form": N_("a form that you sent"),
}


@dataclass(frozen=True)
class Shown:
    """What the page tells somebody about themselves."""

    stands: Preferences
    topics: list[Topic]
    against: list[Suppression]
    ledger: list[dict[str, Any]]


@friendly
async def preferences(request: Request) -> Response:
    """The page; looking changes nothing."""
    return await _page(request, await _recipient(request), done=None)


@friendly
async def unsubscribe(request: Request) -> Response:
    """RFC 8058: the mail program posts `List-Unsubscribe=One-Click`. The page's own buttons post `mail`: off or on for
    the channel of the message, none for all channels, wishes for the form as a whole."""
    form = await request.form(max_fields=FIELDS, max_files=0)
    said = form.get("mail")
    if said in (None, "off") and _of_message(request):
        return await _stop(request, "one-click" if said is None else PAGE)
    recipient = await _recipient(request)
    if said == "wishes":
        return await _page(request, recipient, done=await _save(request, recipient, form))
    granted = said == "on"
    wishes = Wishes(channels={recipient.channel: granted})
    if said == "none":
        wishes = Wishes(channels=dict.fromkeys(channel_kinds(), False))
    await _record(request, recipient, wishes)
    await _hold(request, recipient, wishes)
    return await _page(request, recipient, done=FactKind.RESUBSCRIBED if granted else FactKind.UNSUBSCRIBED)


async def _stop(request: Request, source: str) -> Response:
    """No more of the channel of a message. With the database away the wish waits on our disk until it is back."""
    key = read_token(house_of(request).signer, request.path_params["token"], Purpose.UNSUBSCRIBE).key
    gone = _said(request, key, FactKind.UNSUBSCRIBED, source)
    if not await tracker_of(request).collector.record_within(gone, PATIENCE):
        return page(request, "public/kept.html")
    try:
        return await _page(request, await _recipient(request), done=FactKind.UNSUBSCRIBED)
    except Unavailable:
        return page(request, "public/kept.html")


def _of_message(request: Request) -> bool:
    """Whether they come from a message, and not by a link of their own."""
    return request.url.path.startswith("/u/")


async def _recipient(request: Request) -> Recipient:
    house, token = house_of(request), request.path_params["token"]
    async with house.database.connect() as conn:
        if _of_message(request):
            found = await recipient_of_message(conn, house, token)
        else:
            found = await recipient_of_link(conn, house, token, utc_now())
    if found.language and request.query_params.get("lang") not in LANGUAGES:
        use_language(found.language)
    return found


async def _save(request: Request, recipient: Recipient, form: FormData) -> str:
    async with house_of(request).database.connect() as conn:
        stands = await _stands(conn, recipient)
        known = {topic.key for topic in await list_topics(conn, offered=True)}
    wishes = read_wishes(form, stands, known)
    own = recipient.channel
    if wishes.channels.get(own) is (stands.channels.get(own) is True):
        wishes = replace(wishes, channels={name: word for name, word in wishes.channels.items() if name != own})
    await _record(request, recipient, wishes)
    await _hold(request, recipient, wishes)
    return CHANGED


def read_wishes(form: FormData, stands: Preferences, known: Collection[str]) -> Wishes:
    """What the form says of what it showed (`shown`); a channel that was not ticked and never was stays unsaid."""
    shown = {str(name) for name in form.getlist("shown")}
    channels = {
        name: f"channel.{name}" in form
        for name, before in stands.channels.items()
        if f"channel.{name}" in shown and (f"channel.{name}" in form or before)
    }
    topics = {key: f"topic.{key}" in form for key in known if f"topic.{key}" in shown}
    most, _space, period = str(form.get("frequency", "")).partition(" ")
    wanted = Frequency(int(most), period) if most.isdecimal() and len(most) <= 4 else None
    pause = str(form.get("pause", ""))
    days = int(pause) if pause.isdecimal() and len(pause) <= 3 else None
    return Wishes(channels, topics, wanted, "frequency" in form, days)


async def _record(request: Request, recipient: Recipient, wishes: Wishes) -> None:
    """Let the word on the message's own channel be counted for its campaign."""
    word = wishes.channels.get(recipient.channel)
    if recipient.message is not None and word is not None:
        kind = FactKind.RESUBSCRIBED if word else FactKind.UNSUBSCRIBED
        await tracker_of(request).collector.record(_said(request, recipient.message, kind, PAGE))


def _said(request: Request, key: MessageKey, kind: FactKind, source: str) -> Fact:
    return Fact(key, kind, utc_now(), agent=request.headers.get("user-agent", ""), source=source)


async def _hold(request: Request, recipient: Recipient, wishes: Wishes) -> None:
    proof: dict[str, Any] = {"agent": request.headers.get("user-agent", "")[:300]}
    if recipient.message is not None:
        proof["run"] = recipient.message.run_id
    async with house_of(request).database.begin() as conn:
        customer_id = await held(conn, recipient.customer_id)
        await save_wishes(conn, customer_id, wishes, source=PAGE, proof=proof, now=utc_now())


async def _page(request: Request, recipient: Recipient, done: str | None) -> Response:
    now = utc_now()
    async with house_of(request).database.connect() as conn:
        stands = await _stands(conn, recipient)
        topics = await list_topics(conn, offered=True)
        shown = Shown(
            stands,
            topics,
            await suppressions_of(conn, recipient.customer_id, now),
            await _ledger(conn, recipient.customer_id, await list_topics(conn)),
        )
    return page(
        request,
        "public/preferences.html",
        recipient=recipient,
        address=recipient.address,
        sender=recipient.sender,
        subscribed=stands.channels.get(recipient.channel) is not False,
        done=done,
        shown=shown,
        stands=stands,
        frequencies=_frequencies(stands),
        pauses=PAUSES,
    )


async def _stands(conn: AsyncConnection, recipient: Recipient) -> Preferences:
    """With the channel that brought them here, whatever is on record of it."""
    found = await preferences_of(conn, recipient.customer_id, utc_now())
    return replace(found, channels={recipient.channel: None, **found.channels})


def _frequencies(stands: Preferences) -> list[tuple[str, str]]:
    offered = [*FREQUENCIES]
    if stands.frequency is not None and stands.frequency not in offered:
        offered.append(stands.frequency)
    return [("", _("As often as there is something"))] + [
        (f"{one.most} {one.period}", _frequency(one)) for one in offered
    ]


def _frequency(wish: Frequency) -> str:
    words = {
        "day": _("At most %(most)s a day", most=wish.most),
        "week": _("At most %(most)s a week", most=wish.most),
        "month": _("At most %(most)s a month", most=wish.most),
    }
    return words[wish.period]


async def _ledger(conn: AsyncConnection, customer_id: int, topics: list[Topic]) -> list[dict[str, Any]]:
    """What they said so far, the latest first."""
    names = {topic.key: topic_name(topic) for topic in topics}
    row = consents.c
    query = select(row.at, row.channel, row.purpose, row.granted, row.source).where(row.customer_id == customer_id)
    found = (await conn.execute(query.order_by(row.at.desc(), row.id.desc()).limit(ENTRIES))).all()
    return [
        {
            "at": one.at,
            "channel": one.channel,
            "topic": names.get(key, key) if (key := topic_of(one.purpose)) is not None else None,
            "granted": one.granted,
            "source": _source(one.source),
        }
        for one in found
    ]


def _source(told: str) -> str:
    """In words for whom it is about: a form's name is for the console."""
    known = "form" if told.startswith(FORM_SOURCE) else told
    return _(SOURCES[known]) if known in SOURCES else told


ROUTES = [
    Route("/u/{token}", preferences, "preferences", RECIPIENTS),
    Route("/u/{token}", unsubscribe, "unsubscribe", RECIPIENTS, methods=("POST",), csrf=False, limit=LIMIT),
    Route("/preferences/{token}", preferences, "own_preferences", RECIPIENTS),
    Route("/preferences/{token}", unsubscribe, "own_preferences_save", RECIPIENTS, methods=("POST",), csrf=False,
          limit=LIMIT),
]  # fmt: skip
