"""A forgotten password: asked for by address, mailed as a signed link that works once within an hour, at most one mail
an hour.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from sqlalchemy import Row, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from runtime.backoff import Backoff
from runtime.clock import utc_now
from runtime.database import Database
from runtime.house import House
from runtime.jobs import defer, job
from runtime.signing import BadSignature, Signer
from runtime.text import fold
from web.i18n import SOURCE, use_language
from web.mails import render_mail, send_mail
from web.mails.reset import context
from web.models import users
from web.passwords import check_new_password, hash_password
from web.throttle import RESET_IP, check_tries, record_tries
from web.users import replace_password, user_by_email

LIFETIME = timedelta(hours=1)
ONE_MAIL_PER = timedelta(hours=1)
PURPOSE = "reset"
_PAYLOAD = struct.Struct(">Q16s")


async def ask_for_reset(database: Database, email: str, ip: str, now: datetime) -> None:
    """Leave it to a worker to find out whether there is such a user, so that nobody can tell from the answer or its
    time.

    Raises TooManyTries.
    """
    tries = [(RESET_IP, ip)]
    async with database.begin() as conn:
        await record_tries(conn, tries, now)
    async with database.begin() as conn:
        await check_tries(conn, tries, now)
        key = hashlib.sha256((fold(email.strip()) or "").encode()).hexdigest()
        await defer(conn, send_reset, lock=f"reset:{key}", queueing_lock=f"reset:{key}", email=email.strip()[:254])


@job("web.send_reset", retry=Backoff(tries=5, base=timedelta(seconds=30)), priority=50)
async def send_reset(house: House, *, email: str) -> None:
    """Write to the user with that address, if there is one who has not been written to within the hour."""
    now = utc_now()
    async with house.database.connect() as conn:
        user = await user_by_email(conn, email)
    if user is None or (user.reset_sent_at is not None and user.reset_sent_at > now - ONE_MAIL_PER):
        return
    token = reset_token(house.signer, user, now)
    url = f"{house.settings.public_url}/reset/{quote(token)}"
    use_language(user.language or SOURCE)
    mail = render_mail("reset", context(user.name, url, house.settings.public_url))
    await send_mail(house.settings, user.email, mail, token, now)
    async with house.database.begin() as conn:
        await conn.execute(update(users).where(users.c.id == user.id).values(reset_sent_at=now))


def reset_token(signer: Signer, user: Row[Any], now: datetime) -> str:
    """Bound to the present password, so that it is void once that is changed: by this link or otherwise."""
    return signer.sign(PURPOSE, _PAYLOAD.pack(user.id, _mark(user.password_hash)), now + LIFETIME)


async def user_of_token(conn: AsyncConnection, signer: Signer, token: str, now: datetime) -> Row[Any]:
    """Whose password the link changes. Raises BadSignature for one that is not ours, too old, or used."""
    payload = signer.verify(PURPOSE, token, now)
    if len(payload) != _PAYLOAD.size:
        raise BadSignature("this link is not valid; ask for a new one")
    user_id, mark = _PAYLOAD.unpack(payload)
    user = (await conn.execute(select(users).where(users.c.id == user_id, users.c.active))).one_or_none()
    if user is None or not hmac.compare_digest(_mark(user.password_hash), mark):
        raise BadSignature("this link has been used or is void; ask for a new one")
    return user


async def reset_password(database: Database, signer: Signer, token: str, new: str, now: datetime) -> None:
    """Set the new password and end every session. Raises BadSignature, Invalid."""
    async with database.connect() as conn:
        user = await user_of_token(conn, signer, token, now)
    check_new_password(new, user.email)
    made = await hash_password(new)
    async with database.begin() as conn:
        await replace_password(conn, user.id, user.password_hash, made)


def _mark(password_hash: str) -> bytes:
    return hashlib.sha256(password_hash.encode()).digest()[:16]
