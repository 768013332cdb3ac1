"""Signing in and changing one's own password, both counted against guessing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, update

from runtime.database import Database
from runtime.errors import HearthError
from runtime.text import fold
from web.i18n import _
from web.models import users
from web.passwords import check_new_password, hash_password, password_matches
from web.sessions import open_session
from web.throttle import LOGIN_ACCOUNT, LOGIN_IP, check_tries, forgive, record_tries
from web.users import replace_password, user_by_email


class WrongLogin(HearthError):
    """Address or password is wrong; which of them is not told."""


@dataclass(frozen=True)
class Client:
    """Where a login comes from."""

    ip: str
    user_agent: str


async def sign_in(db: Database, email: str, password: str, client: Client, now: datetime) -> str:
    """Check a login and return the secret of a fresh session. Raises WrongLogin, TooManyTries.

    The try is committed before the password is looked at, so that parallel guesses count each other. A success is not
    counted,
    and clears none of the failures before it.
    """
    tries = [(LOGIN_ACCOUNT, fold(email.strip()) or ""), (LOGIN_IP, client.ip)]
    async with db.begin() as conn:
        recorded = await record_tries(conn, tries, now)
    async with db.connect() as conn:
        await check_tries(conn, tries, now)
        user = await user_by_email(conn, email)
    if not await password_matches(password, user.password_hash if user else None) or user is None:
        raise WrongLogin(_("The address or the password is not right."))
    async with db.begin() as conn:
        await forgive(conn, recorded)
        await conn.execute(update(users).where(users.c.id == user.id).values(last_login_at=now))
        return await open_session(conn, user.id, client.ip, client.user_agent, now)


async def change_password(db: Database, user_id: int, old: str, new: str, client: Client, now: datetime) -> str:
    """Change one's own password; ends every session and returns the secret of a new one. Raises WrongLogin,
    TooManyTries, Invalid, Conflict."""
    async with db.connect() as conn:
        user = (await conn.execute(select(users).where(users.c.id == user_id))).one()
    tries = [(LOGIN_ACCOUNT, user.email_folded)]
    async with db.begin() as conn:
        recorded = await record_tries(conn, tries, now)
        await check_tries(conn, tries, now)
    if not await password_matches(old, user.password_hash):
        raise WrongLogin(_("The present password is not right."))
    check_new_password(new, user.email)
    made = await hash_password(new)
    async with db.begin() as conn:
        await forgive(conn, recorded)
        await replace_password(conn, user_id, user.password_hash, made)
        return await open_session(conn, user_id, client.ip, client.user_agent, now)
