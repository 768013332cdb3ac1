"""Topics: what campaigns can be about, as people see it in the preference centre."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from customers.topics import Topic, list_topics, save_topic
from runtime.errors import Invalid, NotFound
from web.access import MARKETERS, READERS, Route, house_of
from web.i18n import _
from web.render import page, redirect


async def listing(request: Request) -> Response:
    async with house_of(request).database.connect() as conn:
        found = await list_topics(conn)
    return page(request, "topics/list.html", topics=found)


async def new(request: Request) -> Response:
    return _form_page(request, Topic("", ""), known=False)


async def edit(request: Request) -> Response:
    async with house_of(request).database.connect() as conn:
        found = next((one for one in await list_topics(conn) if one.key == request.query_params.get("key")), None)
    if found is None:
        raise NotFound(_("There is no such topic."))
    return _form_page(request, found, known=True)


async def create(request: Request) -> Response:
    return await _save(request, new=True)


async def save(request: Request) -> Response:
    return await _save(request, new=False)


async def _save(request: Request, *, new: bool) -> Response:
    form = await request.form()
    key, name, name_zh = (str(form.get(field, "")).strip() for field in ("key", "name", "name_zh"))
    topic = Topic(key, name, name_zh or None, offered=form.get("offered") == "yes")
    try:
        async with house_of(request).database.begin() as conn:
            await save_topic(conn, topic, new=new)
    except Invalid as error:
        errors = {problem.path: problem.message for problem in error.problems}
        return _form_page(request, topic, errors, known=not new)
    return redirect(request, "topics", flash=_("Saved."))


def _form_page(request: Request, topic: Topic, errors: dict[str, str] | None = None, *, known: bool) -> Response:
    status = 422 if errors else 200
    return page(request, "topics/form.html", status=status, topic=topic, errors=errors or {}, known=known)


ROUTES = [
    Route("/topics", listing, "topics", READERS),
    Route("/topics/new", new, "topic_new", MARKETERS),
    Route("/topics/new", create, "topic_create", MARKETERS, methods=("POST",)),
    Route("/topics/edit", edit, "topic", MARKETERS),
    Route("/topics/edit", save, "topic_save", MARKETERS, methods=("POST",)),
]
