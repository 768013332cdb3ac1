"""What came back: bounces and complaints with the other side's words, what names nobody, and which doors are open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from channels.email.hooks import PROVIDERS
from channels.email.marks import HEADERS
from channels.email.returns.mailbox_config import mailbox_of
from runtime.clock import utc_now
from runtime.settings import Settings
from tracking.came_back import mailbox_state, newest_strays, returned, tally
from tracking.models import events
from tracking.returns import COMPLAINED, SOFT_DAYS, SOFT_REST, SOFT_WINDOW
from web.access import READERS, Route, house_of
from web.i18n import N_, _
from web.listing import fetch_page, read_listing
from web.render import page

SORTS = {"at": events.c.at}
# Each class: what it is called, what it means, what follows.
CLASSES: Mapping[str, tuple[str, str]] = {
    "hard": (N_("Nobody there"), N_("the address is suppressed at once")),
    "full": (N_("Mailbox full"), N_("rests after the third day")),
    "soft": (N_("Not now"), N_("rests after the third day")),
    "policy": (N_("Refused by policy"), N_("about us: nobody is suppressed")),
    "content": (N_("Refused for its content"), N_("about the mail: nobody is suppressed")),
    COMPLAINED: (N_("Reported as spam"), N_("the person and the address are suppressed")),
}
DOORS: Mapping[str, str] = {
    "mail": N_("returned mail"),
    "imap": N_("mailbox"),
    "mailgun": "Mailgun",
    "postmark": "Postmark",
    "sendgrid": "SendGrid",
    "ses": "Amazon SES",
    "generic": N_("Own server"),
}
KINDS: Mapping[str, str] = {
    "bounce": N_("bounce"),
    "bounced": N_("bounce"),
    "delay": N_("delay"),
    "receipt": N_("receipt"),
    "complaint": N_("complaint"),
    "complained": N_("complaint"),
    "auto_reply": N_("automatic answer"),
    "reply": N_("other mail"),
}
SECRETS: Mapping[str, str] = {
    "mailgun": N_("the HTTP webhook signing key of the account"),
    "postmark": N_("a user and a password of your own, user:password; the address to paste carries them"),
    "sendgrid": N_("the verification key of the signed event webhook"),
    "ses": N_("the ARN of the SNS topic; the subscription is confirmed by itself"),
    "generic": N_("any long secret; reports are signed with it"),
}


@dataclass(frozen=True)
class Hook:
    """A provider's set-up. `header`: that mails carry for it, "" for none."""

    name: str
    url: str
    setting: str
    secret: str
    header: str
    is_set: bool


async def listing(request: Request) -> Response:
    house, now = house_of(request), utc_now()
    asked = read_listing(request, tuple(SORTS), default="-at")
    kind = request.query_params.get("class", "")
    kind = kind if kind in CLASSES else ""
    mailbox = mailbox_of(house.settings)
    async with house.database.connect() as conn:
        found = await fetch_page(conn, returned(now, kind), asked, SORTS, events.c.key)
        counted = await tally(conn, now)
        strays = await newest_strays(conn, now)
        state = None if mailbox is None else await mailbox_state(conn, mailbox.name)
    return page(
        request,
        "came_back/list.html",
        partial="results",
        listing=asked,
        found=found,
        kind=kind,
        classes={name: (_(label), _(follows)) for name, (label, follows) in CLASSES.items()},
        doors={name: _(label) for name, label in DOORS.items()},
        kinds={name: _(label) for name, label in KINDS.items()},
        counted=counted,
        strays=strays,
        mailbox=mailbox,
        mailbox_state=state,
        settings=house.settings,
        hooks=hooks(house.settings),
        soft_days=SOFT_DAYS,
        soft_window=SOFT_WINDOW.days,
        soft_rest=SOFT_REST.days,
    )


def hooks(settings: Settings) -> list[Hook]:
    """Every provider, those that are set up first."""
    secrets = dict(settings.hook_secrets)
    found = [
        Hook(
            name,
            _pasted(f"{settings.public_url}/hooks/email/{name}", name),
            f"HEARTH_HOOK_SECRET_{name.upper()}",
            _(SECRETS[name]),
            HEADERS.get(name, "").partition(":")[0],
            name in secrets,
        )
        for name in PROVIDERS
    ]
    return sorted(found, key=lambda hook: not hook.is_set)


def _pasted(url: str, provider: str) -> str:
    return url.replace("://", "://user:password@", 1) if provider == "postmark" else url


ROUTES = [Route("/returns", listing, "came_back", READERS)]
