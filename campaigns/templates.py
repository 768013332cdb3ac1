"""Templates: content kept for campaigns to come."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Select, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.dml import ReturningInsert, ReturningUpdate

from campaigns.draft import Body, Draft, compiled, read_template
from campaigns.models import campaigns, templates
from campaigns.store import attribute_keys, known_channel
from runtime.errors import Conflict, Invalid, NotFound
from runtime.settings import Settings


async def create_template(conn: AsyncConnection, body: Body, *, settings: Settings, by: str | None) -> int:
    """Keep a new template; answers its id. Raises Invalid (content included), Conflict for a name that is taken."""
    draft = read_template(body)
    await _check_template(conn, draft, settings)
    statement = insert(templates).values(**draft.columns, created_by=by).returning(templates.c.id)
    return int(await _unique(conn, statement, draft))


async def update_template(conn: AsyncConnection, template_id: int, body: Body, *, settings: Settings) -> None:
    """Replace a template; running campaigns keep what was approved. Raises NotFound, Invalid, Conflict."""
    await template(conn, template_id)
    draft = read_template(body)
    await _check_template(conn, draft, settings)
    statement = update(templates).where(templates.c.id == template_id).values(**draft.columns, updated_at=func.now())
    await _unique(conn, statement.returning(templates.c.id), draft)


async def delete_template(conn: AsyncConnection, template_id: int) -> None:
    """Forget a template. Raises NotFound, Conflict while a campaign refers to it."""
    await template(conn, template_id)
    used = select(campaigns.c.id).where(campaigns.c.template_id == template_id).order_by(campaigns.c.id).limit(1)
    user = (await conn.execute(used)).scalar_one_or_none()
    if user is not None:
        raise Conflict(f"template {template_id} is used by campaign {user}")
    await conn.execute(delete(templates).where(templates.c.id == template_id))


async def template(conn: AsyncConnection, template_id: int) -> Mapping[str, Any]:
    """The row of a template. Raises NotFound."""
    row = (await conn.execute(select(templates).where(templates.c.id == template_id))).one_or_none()
    if row is None:
        raise NotFound(f"there is no template {template_id}")
    return dict(row._mapping)


def template_rows() -> Select[Any]:
    """All templates, for lists."""
    return select(templates)


def template_record(row: Mapping[str, Any]) -> dict[str, Any]:
    """A template as API.md shows it: its content beside its name."""
    kept = {key: row[key] for key in ("id", "name", "channel", "created_by", "created_at", "updated_at")}
    return {**kept, **row["content"]}


async def _check_template(conn: AsyncConnection, draft: Draft, settings: Settings) -> None:
    problems = known_channel(draft.columns["channel"])
    if problems:
        raise Invalid(problems)
    compiled(draft.columns["content"], settings, await attribute_keys(conn), prefix="")


async def _unique(conn: AsyncConnection, statement: ReturningInsert[int] | ReturningUpdate[int], draft: Draft) -> int:
    try:
        return (await conn.execute(statement)).scalar_one()
    except IntegrityError as error:
        raise Conflict(f"name: there is another template named {draft.columns['name']!r}") from error
