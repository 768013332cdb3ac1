"""Signup forms: made, looked at as they will be, and taken as a snippet for the firm's own site."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response

from customers.consent_settings import ConsentSettings, consent_settings, save_consent_settings
from customers.models import signup_forms
from customers.signup_forms import FIELDS, SignupForm, form_by_id, form_rows, save_form
from customers.topics import Topic, list_topics
from runtime.clock import utc_now
from runtime.errors import Invalid
from web.access import ADMINS, MARKETERS, READERS, Route, house_of, viewer_of
from web.i18n import LANGUAGES, N_, _, current_language, use_language
from web.listing import fetch_page, read_listing
from web.pages.signup import TRAP, Entered
from web.render import fragment, page, redirect

SORTS = {"name": signup_forms.c.name, "created_at": signup_forms.c.created_at}
FIELD_LABELS = {"name": N_("Name"), "phone": N_("Phone"), "city": N_("City")}


async def listing(request: Request) -> Response:
    asked = read_listing(request, tuple(SORTS), default="-created_at")
    statement = form_rows()
    if asked.q:
        statement = statement.where(signup_forms.c.name.icontains(asked.q, autoescape=True))
    async with house_of(request).database.connect() as conn:
        found = await fetch_page(conn, statement, asked, SORTS, signup_forms.c.id)
        settings = await consent_settings(conn)
    return page(request, "forms/list.html", partial="results", listing=asked, found=found, consent=settings)


async def new(request: Request) -> Response:
    text = _("Yes, please send me news and offers by e-mail. I can withdraw this at any time, in every message.")
    return await _form_page(request, SignupForm(title=_("Stay in touch"), text=text, fields=["name"]))


async def edit(request: Request) -> Response:
    async with house_of(request).database.connect() as conn:
        found = await form_by_id(conn, request.path_params["id"])
    return await _form_page(request, found)


async def create(request: Request) -> Response:
    return await _save(request, read_form(await request.form()))


async def save(request: Request) -> Response:
    form_id: int = request.path_params["id"]
    return await _save(request, replace(read_form(await request.form()), id=form_id))


async def preview(request: Request) -> Response:
    """The form as people will see it, of what is typed so far."""
    posted = await request.form()
    form = read_form(posted)
    if (language := str(posted.get("preview", ""))) in LANGUAGES:
        use_language(language)
    async with house_of(request).database.connect() as conn:
        topics = await list_topics(conn)
    return page(request, "forms/preview.html", **_seen(form, topics))


async def settings(request: Request) -> Response:
    """How consent is asked for in this workspace."""
    form = await request.form()
    wanted = ConsentSettings(form.get("double_opt_in") == "yes", form.get("keep_network_address") == "yes")
    async with house_of(request).database.begin() as conn:
        await save_consent_settings(conn, wanted)
    return redirect(request, "forms", flash=_("Saved."))


def read_form(posted: FormData) -> SignupForm:
    """What was typed."""

    def said(name: str) -> str:
        return str(posted.get(name, ""))

    return SignupForm(
        name=said("label"),
        title=said("title"),
        title_zh=said("title_zh") or None,
        text=said("text").replace("\r\n", "\n"),
        text_zh=said("text_zh").replace("\r\n", "\n") or None,
        fields=[name for name in FIELDS if name in posted.getlist("field")],
        topics=[str(key) for key in posted.getlist("topic_key")],
        active=posted.get("active") == "yes",
    )


def snippet(request: Request, form: SignupForm, topics: list[Topic]) -> str:
    """HTML for any page: it posts to the form's own address, needs no script and reads no cookie."""
    action = f"{house_of(request).settings.public_url}/s/{form.slug}"
    html = fragment(request, "public/snippet.html", action=action, labels=_labels(), **_seen(form, topics))
    return "\n".join(line for line in html.splitlines() if line.strip())


async def _save(request: Request, form: SignupForm) -> Response:
    try:
        async with house_of(request).database.begin() as conn:
            saved = await save_form(conn, form, by=viewer_of(request).email, now=utc_now())
    except Invalid as error:
        errors = {problem.path: problem.message for problem in error.problems}
        return await _form_page(
            request, form, {"label" if path == "name" else path: text for path, text in errors.items()}
        )
    return redirect(request, "form", id=saved.id, flash=_("Saved."))


async def _form_page(request: Request, form: SignupForm, errors: dict[str, str] | None = None) -> Response:
    async with house_of(request).database.connect() as conn:
        topics = await list_topics(conn)
        kept = await form_by_id(conn, form.id) if form.id else None
    return page(
        request,
        "forms/form.html",
        status=422 if errors else 200,
        **{
            **_seen(form, topics),
            "topics": topics,
            "chosen": _seen(form, topics)["topics"],
            "errors": errors or {},
        },
        kept=kept,
        labels=_labels(),
        snippet=snippet(request, kept, topics) if kept else "",
        address=f"{house_of(request).settings.public_url}/s/{kept.slug}" if kept else "",
    )


def _seen(form: SignupForm, topics: list[Topic]) -> dict[str, Any]:
    """What the form's own page would show of it."""
    title, text = form.wording(current_language())
    chosen = [topic for topic in topics if topic.key in form.topics and topic.offered]
    names = {"form": form, "topics": chosen, "title": title, "text": text, "trap": TRAP}
    return {**names, "entered": Entered(), "errors": {}}


def _labels() -> dict[str, str]:
    return {name: _(label) for name, label in FIELD_LABELS.items()}


ROUTES = [
    Route("/forms", listing, "forms", READERS),
    Route("/forms/new", new, "form_new", MARKETERS),
    Route("/forms/new", create, "form_create", MARKETERS, methods=("POST",)),
    Route("/forms/preview", preview, "form_preview", MARKETERS, methods=("POST",)),
    Route("/forms/settings", settings, "consent_settings", ADMINS, methods=("POST",)),
    Route("/forms/{id:int}", edit, "form", MARKETERS),
    Route("/forms/{id:int}", save, "form_save", MARKETERS, methods=("POST",)),
]
