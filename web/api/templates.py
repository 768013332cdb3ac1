"""Templates: content kept for campaigns to come."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel

import campaigns.templates as templates_of
from campaigns.models import templates
from web.access import READERS, Route
from web.api.contract import Ask, Body, call
from web.api.shapes import PAGE_QUERY, Page, paged
from web.listing import fetch_page, read_listing

ROUTES: list[Route] = []


class TemplateIn(Body):
    name: str
    channel: str
    subject: str | None = None
    html: str | None = None
    mjml: str | None = None
    text: str | None = None


class TemplateChange(Body):
    """Only what is given changes; null takes a part away."""

    name: str | None = None
    channel: str | None = None
    subject: str | None = None
    html: str | None = None
    mjml: str | None = None
    text: str | None = None


class Template(BaseModel):
    id: int
    name: str
    channel: str
    subject: str | None = None
    html: str | None = None
    mjml: str | None = None
    text: str | None = None
    created_by: str | None
    created_at: datetime
    updated_at: datetime


@call(ROUTES, "POST", "/templates", name="create_template", body=TemplateIn, answer=Template, status=201)
async def create(ask: Ask) -> Any:
    """Keep a template."""
    body = ask.body.model_dump(exclude_none=True)
    template_id = await templates_of.create_template(ask.conn, body, settings=ask.house.settings, by=ask.viewer.name)
    return templates_of.template_record(await templates_of.template(ask.conn, template_id))


@call(ROUTES, "GET", "/templates", name="list_templates", answer=Page[Template], allow=READERS, query=PAGE_QUERY)
async def listing(ask: Ask) -> Any:
    """All templates, by id."""
    asked = read_listing(ask.request, ("id",), default="id", limit=100)
    found = await fetch_page(ask.conn, templates_of.template_rows(), asked, {"id": templates.c.id}, templates.c.id)
    return paged(found.rows, found.next, lambda row: templates_of.template_record(row._mapping))


@call(ROUTES, "GET", "/templates/{id:int}", name="get_template", answer=Template, allow=READERS)
async def show(ask: Ask) -> Any:
    """One template."""
    return templates_of.template_record(await templates_of.template(ask.conn, ask.id))


@call(ROUTES, "PATCH", "/templates/{id:int}", name="change_template", body=TemplateChange, answer=Template)
async def change(ask: Ask) -> Any:
    """Change a template; campaigns that run keep what was approved."""
    before = templates_of.template_record(await templates_of.template(ask.conn, ask.id))
    kept = {key: before[key] for key in TemplateIn.model_fields if before.get(key) is not None}
    body = {**kept, **ask.body.model_dump(exclude_unset=True)}
    await templates_of.update_template(ask.conn, ask.id, body, settings=ask.house.settings)
    return templates_of.template_record(await templates_of.template(ask.conn, ask.id))


@call(ROUTES, "DELETE", "/templates/{id:int}", name="delete_template", status=204)
async def remove(ask: Ask) -> None:
    """Forget a template that no campaign uses."""
    await templates_of.delete_template(ask.conn, ask.id)
