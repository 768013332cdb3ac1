"""Who may go on watching: one question for all, and nobody who comes while it is asked is taken for a stranger."""

from __future__ import annotations

import asyncio

from sqlalchemy import delete, text

from runtime.clock import utc_now
from runtime.house import House
from tests.browser.conftest import add_user
from tests.waiting import until
from web.access import Role
from web.live import Doorkeeper
from web.models import sessions
from web.sessions import hashed, open_session


async def a_session(house: House, name: str) -> bytes:
    user_id = await add_user(house, f"{name}@example.com", "analyst")
    async with house.database.begin() as conn:
        return hashed(await open_session(conn, user_id, "127.0.0.1", "browser", utc_now()))


async def waits(house: House) -> bool:
    """Whether somebody's question waits for the lock."""
    async with house.database.connect() as conn:
        blocked = text("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'sessions'::regclass")
        return bool(await conn.scalar(blocked))


async def test_who_comes_while_the_question_is_asked_is_asked_about(house: House) -> None:
    first, second = [await a_session(house, name) for name in ("first", "second")]
    door = Doorkeeper(house.database)
    door.enter(first)
    async with house.database.begin() as conn:
        await conn.execute(text("LOCK TABLE sessions IN ACCESS EXCLUSIVE MODE"))
        asking = asyncio.create_task(door.may(first, {Role.ANALYST}))
        await until(lambda: waits(house))
        door.enter(second)
    assert await asking
    assert await door.may(second, {Role.ANALYST})
    assert not await door.may(second, {Role.ADMIN})


async def test_a_session_that_is_gone_may_no_more(house: House) -> None:
    session = await a_session(house, "gone")
    door = Doorkeeper(house.database)
    async with house.database.begin() as conn:
        await conn.execute(delete(sessions).where(sessions.c.token_hash == session))
    door.enter(session)
    assert not await door.may(session, {Role.ANALYST})
