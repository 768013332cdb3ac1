"""The signup form's own page and where embedded copies post to; the page on which a sign-up is confirmed.

No cookie is read, so a form may stand on any site: whoever posts it for somebody else causes one mail an hour at most,
which asks. Looking at the confirmation changes nothing: scanners look at every link, a person presses the button.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response

from customers.addresses import read_email, read_phone
from customers.signup_forms import SignupForm, form_by_id, form_of
from customers.signups import Asked, pending, read_signup_token
from customers.topics import Topic, list_topics
from customers.values import Context, read_line
from runtime.clock import utc_now
from runtime.errors import NotFound
from runtime.text import printable
from web.access import KIB, RECIPIENTS, Route, house_of
from web.confirmations import confirm_signup, count_try, sign_up
from web.i18n import LANGUAGES, _, current_language, use_language
from web.pages.account import client_of
from web.pages.public import friendly
from web.recipients import own_token
from web.render import page

LIMIT = 16 * KIB
TRAP = "website"
"""The field that people do not see and machines fill in."""


@dataclass(frozen=True)
class Entered:
    """What was typed, as it was; `agreed` to the consent text."""

    address: str = ""
    answers: dict[str, str] = field(default_factory=dict)
    topics: frozenset[str] = frozenset()
    agreed: bool = False


@friendly
async def show(request: Request) -> Response:
    form, topics = await _form(request)
    return _page(request, form, topics, Entered())


@friendly
async def take(request: Request) -> Response:
    """Every good address gets the same answer."""
    posted = await request.form(max_fields=100, max_files=0)
    if str(posted.get("lang", "")) in LANGUAGES:
        use_language(str(posted["lang"]))
    form, topics = await _form(request)
    house, client, now = house_of(request), client_of(request), utc_now()
    entered = _entered(posted, form)
    if posted.get(TRAP):
        await count_try(house, client.ip, now)
        return page(request, "public/signed_up.html", address=entered.address)
    try:
        asked = read(entered, form, Context(house.settings.zone, house.settings.country))
    except Refused as refused:
        return _page(request, form, topics, entered, refused.errors)
    await sign_up(house, form, asked, client.ip, request.headers.get("user-agent", ""), now)
    return page(request, "public/signed_up.html", address=asked.address)


class Refused(ValueError):
    """What was typed cannot be taken; `errors` by field."""

    def __init__(self, errors: dict[str, str]) -> None:
        super().__init__(", ".join(errors))
        self.errors = errors


def read(entered: Entered, form: SignupForm, context: Context) -> Asked:
    """What was typed, made plain. Raises Refused."""
    errors: dict[str, str] = {}
    found: dict[str, Any] = {}
    readers = {"email": read_email, "name": read_line, "phone": read_phone, "city": read_line}
    for name, value in {"email": entered.address, **entered.answers}.items():
        try:
            found[name] = readers[name](value, context)
        except ValueError:
            errors[name] = _("This does not look right.")
    address = found.pop("email", None)
    if not address and "email" not in errors:
        errors["email"] = _("Your e-mail address is missing.")
    if not entered.agreed:
        errors["agree"] = _("Without your consent we cannot write to you.")
    if errors:
        raise Refused(errors)
    answers = {name: value for name, value in found.items() if value}
    return Asked(str(address), answers, sorted(entered.topics), current_language())


@friendly
async def look(request: Request) -> Response:
    """The button; looking confirms nothing."""
    house, now = house_of(request), utc_now()
    ref = read_signup_token(house.signer, request.path_params["token"], now)
    async with house.database.connect() as conn:
        row, form = await pending(conn, ref), await form_by_id(conn, ref.form_id)
    if row.language and request.query_params.get("lang") not in LANGUAGES:
        use_language(row.language)
    title, text = form.wording(current_language())
    done = row.confirmed_at is not None
    return page(request, "public/confirm.html", address=ref.address, title=title, text=text, done=done, token=None)


@friendly
async def press(request: Request) -> Response:
    house, now, client = house_of(request), utc_now(), client_of(request)
    ref = read_signup_token(house.signer, request.path_params["token"], now)
    agent = request.headers.get("user-agent", "")
    customer_id = await confirm_signup(house, request.path_params["token"], client.ip, agent, now)
    async with house.database.connect() as conn:
        row = await pending(conn, ref)
    if row.language and request.query_params.get("lang") not in LANGUAGES:
        use_language(row.language)
    token = own_token(house.signer, customer_id, now)
    return page(request, "public/confirm.html", address=ref.address, title="", text="", done=True, token=token)


async def _form(request: Request) -> tuple[SignupForm, list[Topic]]:
    async with house_of(request).database.connect() as conn:
        form = await form_of(conn, request.path_params["token"])
        topics = await list_topics(conn, offered=True)
    if not form.active:
        raise NotFound("this form is closed")
    return form, [topic for topic in topics if topic.key in form.topics]


def _entered(posted: FormData, form: SignupForm) -> Entered:
    given = {name: printable(str(posted.get(name, ""))).strip()[:200] for name in ("email", *form.fields)}
    ticked = frozenset(str(key) for key in posted.getlist("topic"))
    return Entered(given.pop("email"), given, ticked, posted.get("agree") == "yes")


def _page(
    request: Request, form: SignupForm, topics: list[Topic], entered: Entered, errors: dict[str, str] | None = None
) -> Response:
    title, text = form.wording(current_language())
    return page(
        request,
        "public/signup.html",
        status=422 if errors else 200,
        form=form,
        topics=topics,
        title=title,
        text=text,
        entered=entered,
        errors=errors or {},
        trap=TRAP,
    )


ROUTES = [
    Route("/s/{token}", show, "signup", RECIPIENTS),
    Route("/s/{token}", take, "signup_take", RECIPIENTS, methods=("POST",), csrf=False, limit=LIMIT),
    Route("/confirm/{token}", look, "signup_confirm", RECIPIENTS),
    Route("/confirm/{token}", press, "signup_press", RECIPIENTS, methods=("POST",), csrf=False, limit=LIMIT),
]
