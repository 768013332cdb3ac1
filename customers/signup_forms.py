"""Signup forms: what they ask for and the wording of the consent, of which every version is kept."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Select, and_, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.models import consent_texts, signup_forms, signups
from customers.topics import topic_problems
from runtime.errors import Invalid, NotFound, Problem
from runtime.text import printable

FIELDS = ("name", "phone", "city")
"""What a form can ask for beside the address."""

_SLUG_BYTES = 7
_LONGEST = {"name": 100, "title": 150, "title_zh": 150}
_LONGEST_TEXT = 2_000


@dataclass(frozen=True)
class SignupForm:
    """`name` is for the console; `title` and `text` (the consent) are what people read; `version` is the wording's.
    `id` 0: not saved yet."""

    name: str = ""
    title: str = ""
    title_zh: str | None = None
    text: str = ""
    text_zh: str | None = None
    fields: Sequence[str] = ()
    topics: Sequence[str] = ()
    active: bool = True
    id: int = 0
    slug: str = ""
    version: int = 1

    @property
    def text_version(self) -> str:
        """What the ledger names the wording by."""
        return f"{self.slug}/{self.version}"

    def wording(self, language: str) -> tuple[str, str]:
        """Title and consent in `language`."""
        if language == "zh":
            return self.title_zh or self.title, self.text_zh or self.text
        return self.title, self.text


async def form_of(conn: AsyncConnection, slug: str) -> SignupForm:
    """The form at that address. Raises NotFound."""
    return await _one(conn, _forms().where(signup_forms.c.slug == slug))


async def form_by_id(conn: AsyncConnection, form_id: int) -> SignupForm:
    """Raises NotFound."""
    return await _one(conn, _forms().where(signup_forms.c.id == form_id))


def form_rows() -> Select[Any]:
    """All forms with `pending` and `confirmed`, for lists."""
    own = signups.c.form_id == signup_forms.c.id
    pending = select(func.count()).where(own, signups.c.confirmed_at.is_(None)).scalar_subquery()
    confirmed = select(func.count()).where(own, signups.c.confirmed_at.is_not(None)).scalar_subquery()
    return select(signup_forms, pending.label("pending"), confirmed.label("confirmed"))


async def save_form(conn: AsyncConnection, form: SignupForm, *, by: str | None, now: datetime) -> SignupForm:
    """Make (`id` 0) or change a form; another wording is another version. Raises Invalid by field, NotFound."""
    form = await _checked(conn, form)
    if not form.id:
        form = replace(form, slug=secrets.token_hex(_SLUG_BYTES), version=1)
        made = insert(signup_forms).values(**_row(form), slug=form.slug, created_by=by, created_at=now, updated_at=now)
        form = replace(form, id=(await conn.execute(made.returning(signup_forms.c.id))).scalar_one())
        await _write_text(conn, form, now)
        return form
    await conn.execute(select(signup_forms.c.id).where(signup_forms.c.id == form.id).with_for_update())
    before = await form_by_id(conn, form.id)
    reworded = (form.text, form.text_zh) != (before.text, before.text_zh)
    form = replace(form, slug=before.slug, version=before.version + reworded)
    await conn.execute(update(signup_forms).where(signup_forms.c.id == form.id).values(**_row(form), updated_at=now))
    if reworded:
        await _write_text(conn, form, now)
    return form


def _forms() -> Select[Any]:
    wording = and_(consent_texts.c.form_id == signup_forms.c.id, consent_texts.c.version == signup_forms.c.version)
    return select(signup_forms, consent_texts.c.text, consent_texts.c.text_zh).join(consent_texts, wording)


async def _one(conn: AsyncConnection, statement: Select[Any]) -> SignupForm:
    row = (await conn.execute(statement)).one_or_none()
    if row is None:
        raise NotFound("there is no such form")
    return SignupForm(**{name: row._mapping[name] for name in SignupForm.__dataclass_fields__})


def _row(form: SignupForm) -> dict[str, Any]:
    names = ("name", "title", "title_zh", "active", "version")
    return {**{name: getattr(form, name) for name in names}, "fields": [*form.fields], "topics": [*form.topics]}


async def _write_text(conn: AsyncConnection, form: SignupForm, now: datetime) -> None:
    row = {"form_id": form.id, "version": form.version, "text": form.text, "text_zh": form.text_zh, "at": now}
    await conn.execute(insert(consent_texts).values(row))


async def _checked(conn: AsyncConnection, form: SignupForm) -> SignupForm:
    lines = {name: " ".join(printable(getattr(form, name) or "").split()) for name in _LONGEST}
    texts = {name: printable(getattr(form, name) or "").strip() for name in ("text", "text_zh")}
    problems = [
        Problem(name, f"must have at most {longest} characters")
        for name, longest in (*_LONGEST.items(), ("text", _LONGEST_TEXT), ("text_zh", _LONGEST_TEXT))
        if len({**lines, **texts}[name]) > longest
    ]
    problems += [Problem(name, "is missing") for name in ("name", "title", "text") if not {**lines, **texts}[name]]
    problems += [Problem("fields", f"unknown: {name}") for name in form.fields if name not in FIELDS]
    problems += await topic_problems(conn, form.topics, "topics")
    if problems:
        raise Invalid(problems)
    return replace(
        form,
        name=lines["name"],
        title=lines["title"],
        title_zh=lines["title_zh"] or None,
        text=texts["text"],
        text_zh=texts["text_zh"] or None,
        fields=[name for name in FIELDS if name in form.fields],
        topics=[*dict.fromkeys(form.topics)],
    )
