"""The demo mailbox: what the demo's mail server caught."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from channels.email import mailbox
from channels.email.mailbox_view import view_mail
from web.access import MARKETERS, Route, house_of
from web.listing import read_listing
from web.render import mail_frame, page


async def listing(request: Request) -> Response:
    asked = read_listing(request, ("received",), default="-received")
    async with house_of(request).database.connect() as conn:
        rows, following = await mailbox.page(conn, asked.q, asked.cursor, asked.limit)
    own = house_of(request).settings.smtp_url is None or bool(rows)  # `make demo` may run the mailbox on another port
    found = {"rows": rows, "next": following}
    return page(request, "mailbox/list.html", partial="results", listing=asked, found=found, own=own)


async def show(request: Request) -> Response:
    async with house_of(request).database.connect() as conn:
        kept, raw = await mailbox.get(conn, request.path_params["id"])
    images = request.query_params.get("images") == "yes"
    return page(request, "mailbox/show.html", kept=kept, mail=view_mail(raw), size=len(raw), images=images)


async def body(request: Request) -> Response:
    """The mail itself, for its frame; `?images=yes` loads remote images, and so the open pixel."""
    async with house_of(request).database.connect() as conn:
        _kept, raw = await mailbox.get(conn, request.path_params["id"])
    mail = view_mail(raw)
    return mail_frame(mail.html or "", remote_images=request.query_params.get("images") == "yes", links=True)


ROUTES = [
    Route("/mailbox", listing, "mailbox", MARKETERS),
    Route("/mailbox/{id:int}", show, "mail", MARKETERS),
    Route("/mailbox/{id:int}/body", body, "mail_body", MARKETERS),
]
