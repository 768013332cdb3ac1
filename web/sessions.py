"""Sessions and API tokens: random secrets whose SHA-256 is in the database, and who stands behind them."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from web.access import Role, Viewer
from web.models import api_tokens, sessions, users

LIFETIME = timedelta(days=14)
IDLE = timedelta(days=3)
TOUCH_EVERY = timedelta(minutes=5)
TOKEN_PREFIX = "hearth_"  # noqa: S105 -- makes a leaked token recognisable to scanners


async def open_session(conn: AsyncConnection, user_id: int, ip: str, user_agent: str, now: datetime) -> str:
    """Make a session and return its secret, which only the cookie holds. Sessions that have ended are swept on the
    way.
    """
    secret = secrets.token_urlsafe(32)
    await conn.execute(delete(sessions).where(sessions.c.expires_at < now))
    await conn.execute(
        insert(sessions).values(
            token_hash=hashed(secret),
            user_id=user_id,
            created_at=now,
            last_seen_at=now,
            expires_at=now + LIFETIME,
            ip=ip[:100],
            user_agent=user_agent.replace("\0", "")[:400],
        )
    )
    return secret


async def session_viewer(conn: AsyncConnection, secret: str, now: datetime) -> tuple[Viewer, bool] | None:
    """Who holds this session secret and whether `touch_session` is due; None when it has ended or the user is
    inactive.
    """
    row = (
        await conn.execute(
            select(users, sessions.c.last_seen_at)
            .join(sessions, sessions.c.user_id == users.c.id)
            .where(
                sessions.c.token_hash == hashed(secret),
                sessions.c.expires_at > now,
                sessions.c.last_seen_at > now - IDLE,
                users.c.active,
            )
        )
    ).one_or_none()
    if row is None:
        return None
    viewer = Viewer(
        name=row.name,
        email=row.email,
        role=Role(row.role),
        salesperson=row.salesperson,
        language=row.language,
        user_id=row.id,
        must_change_password=row.must_change_password,
    )
    return viewer, row.last_seen_at < now - TOUCH_EVERY


async def roles_of_sessions(conn: AsyncConnection, hashes: Collection[bytes], now: datetime) -> dict[bytes, Role]:
    """The role behind each of these sessions (by `hashed`) that stands: those that ended are left out."""
    standing = select(sessions.c.token_hash, users.c.role).join(users, users.c.id == sessions.c.user_id)
    standing = standing.where(
        sessions.c.token_hash.in_(hashes),
        sessions.c.expires_at > now,
        sessions.c.last_seen_at > now - IDLE,
        users.c.active,
        ~users.c.must_change_password,
    )
    return {bytes(row.token_hash): Role(row.role) for row in await conn.execute(standing)}


async def touch_session(conn: AsyncConnection, secret: str, now: datetime) -> None:
    await conn.execute(update(sessions).where(sessions.c.token_hash == hashed(secret)).values(last_seen_at=now))


async def close_session(conn: AsyncConnection, secret: str) -> None:
    await conn.execute(delete(sessions).where(sessions.c.token_hash == hashed(secret)))


async def close_all_sessions(conn: AsyncConnection, user_id: int) -> None:
    """End every session of a user: their password, role or standing has changed."""
    await conn.execute(delete(sessions).where(sessions.c.user_id == user_id))


async def create_token(
    conn: AsyncConnection, name: str, role: Role, salesperson: str | None, now: datetime
) -> tuple[int, str]:
    """Make an API token; returns its id and the secret, which is nowhere else."""
    secret = TOKEN_PREFIX + secrets.token_urlsafe(32)
    made = await conn.execute(
        insert(api_tokens)
        .values(name=name, token_hash=hashed(secret), role=role.value, salesperson=salesperson, created_at=now)
        .returning(api_tokens.c.id)
    )
    return made.scalar_one(), secret


async def token_viewer(conn: AsyncConnection, secret: str, now: datetime) -> tuple[Viewer, bool] | None:
    """Who an API token speaks for and whether `touch_token` is due; None for an unknown or revoked one."""
    row = (
        await conn.execute(
            select(api_tokens).where(api_tokens.c.token_hash == hashed(secret), api_tokens.c.revoked_at.is_(None))
        )
    ).one_or_none()
    if row is None:
        return None
    viewer = Viewer(name=row.name, email="", role=Role(row.role), salesperson=row.salesperson, token_id=row.id)
    return viewer, row.last_used_at is None or row.last_used_at < now - TOUCH_EVERY


async def touch_token(conn: AsyncConnection, token_id: int, now: datetime) -> None:
    await conn.execute(update(api_tokens).where(api_tokens.c.id == token_id).values(last_used_at=now))


def csrf_token(secret: str) -> str:
    """The token that forms carry: derived from a cookie's secret, which other sites cannot read."""
    return hmac.new(secret.encode(), b"csrf", hashlib.sha256).hexdigest()


def csrf_matches(secret: str, given: str) -> bool:
    return hmac.compare_digest(csrf_token(secret).encode(), given.encode())


def hashed(secret: str) -> bytes:
    """Secrets are long and random, so a plain hash is enough to keep them out of a stolen database."""
    return hashlib.sha256(secret.encode()).digest()
