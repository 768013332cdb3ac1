"""Who changed since one last looked: each note is heard of once, in whatever order transactions end."""

from __future__ import annotations

from customers.changes import CONSENTS, EVERYTHING, SUPPRESSIONS, news, note_changed
from runtime.database import Database

ASKED = (CONSENTS, EVERYTHING)


async def look(db: Database, seen: str | None) -> tuple[set[int] | None, str]:
    async with db.connect() as conn:
        told = await news(conn, ASKED, seen)
    return None if told.ids is None else set(told.ids), told.snapshot


async def test_news_are_those_of_the_asked_kind_since_the_last_look(db: Database) -> None:
    async with db.begin() as conn:
        await note_changed(conn, CONSENTS, [1])
    ids, seen = await look(db, None)
    assert ids == set()  # nobody is news to who has not looked yet
    async with db.begin() as conn:
        await note_changed(conn, CONSENTS, [2, 3])
        await note_changed(conn, (EVERYTHING, "x"), [3, 4])
        await note_changed(conn, SUPPRESSIONS, [5])
    ids, seen = await look(db, seen)
    assert ids == {2, 3, 4}
    assert (await look(db, seen))[0] == set()


async def test_a_change_that_commits_late_is_news_to_who_could_not_see_it(db: Database) -> None:
    _, seen = await look(db, None)
    async with db.begin() as slow:
        await note_changed(slow, CONSENTS, [7])
        async with db.begin() as quick:
            await note_changed(quick, CONSENTS, [8])
        ids, seen = await look(db, seen)
        assert ids == {8}
    assert (await look(db, seen))[0] == {7}


async def test_perhaps_everyone(db: Database) -> None:
    _, seen = await look(db, None)
    async with db.begin() as conn:
        await note_changed(conn, CONSENTS, None)
        await note_changed(conn, CONSENTS, [1])
    assert (await look(db, seen))[0] is None
