"""Who may sign in to the demo's console, and the token that the demo itself works with."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from web.access import Role
from web.models import api_tokens, users
from web.passwords import hash_password
from web.sessions import create_token
from web.users import UserForm, create_user, set_password

API_CLIENT = "make demo"
LOGINS = (
    UserForm("admin@demo.example", "Demo admin", Role.ADMIN),
    UserForm("marketer@demo.example", "Demo marketer", Role.MARKETER),
    UserForm("sales@demo.example", "Demo salesperson", Role.SALESPERSON, "S001"),
)


@dataclass(frozen=True)
class Logins:
    """The addresses that may sign in, all with one password; it stands in `path`, which only its owner can read."""

    emails: tuple[str, ...]
    password: str
    path: Path


async def make_logins(conn: AsyncConnection, path: Path, now: datetime) -> Logins:
    """Make the logins that are missing. The password is drawn once and kept in `path`; a new one is set where the file
    is gone. A password that somebody changed in the console stays changed."""
    password = _kept(path)
    fresh = password is None
    password = password or secrets.token_urlsafe(9)
    hashed = await hash_password(password)
    known = dict((await conn.execute(select(users.c.email, users.c.id))).tuples().all())
    for form in LOGINS:
        if form.email in known:
            if fresh:
                await set_password(conn, known[form.email], hashed)
            continue
        user_id, _ = await create_user(conn, form, now)
        await set_password(conn, user_id, hashed)
    if fresh:
        _keep(path, password)
    return Logins(tuple(form.email for form in LOGINS), password, path)


async def make_api_token(conn: AsyncConnection, now: datetime) -> str:
    """A token for this run; those of earlier runs are revoked."""
    earlier = api_tokens.c.name == API_CLIENT
    await conn.execute(update(api_tokens).where(earlier, api_tokens.c.revoked_at.is_(None)).values(revoked_at=now))
    _, secret = await create_token(conn, API_CLIENT, Role.ADMIN, None, now)
    return secret


def _kept(path: Path) -> str | None:
    return path.read_text(encoding="utf-8").strip() or None if path.is_file() else None


def _keep(path: Path, password: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(password + "\n")
