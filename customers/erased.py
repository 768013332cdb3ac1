"""Keyed hashes of the identities of erased people: all that is left of them, so that no import brings them back."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Collection, Iterable, Mapping

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.bulk import among, put_new
from customers.models import erased
from customers.person import Pair, Person
from runtime.workspace import lasting_key

_PURPOSE = "erasure"


async def remember_erased(conn: AsyncConnection, pairs: Iterable[Pair]) -> None:
    """Keep the hashes of an erased person's identities and phones."""
    key = await lasting_key(conn, _PURPOSE)
    await put_new(conn, erased, [{"hash": _hash(key, pair)} for pair in pairs])


async def forget_erased(conn: AsyncConnection, pairs: Iterable[Pair]) -> None:
    """Let somebody in again by these: they came back by their own, confirmed word."""
    key = await lasting_key(conn, _PURPOSE)
    await conn.execute(delete(erased).where(among(erased.c.hash, [_hash(key, pair) for pair in pairs])))


async def erased_among(conn: AsyncConnection, people: Mapping[int, Person]) -> list[int]:
    """The keys of those who were erased: by any identity, by phone where there is none."""
    return await erased_pairs(conn, people, lambda index: _pairs(people[index]))


async def erased_pairs(
    conn: AsyncConnection, places: Collection[int], pairs: Callable[[int], Iterable[Pair]]
) -> list[int]:
    """Those of `places` of whose `pairs` any was an erased person's."""
    if not places or (await conn.execute(select(erased.c.hash).limit(1))).first() is None:
        return []
    key = await lasting_key(conn, _PURPOSE)
    hashes = {place: {_hash(key, pair) for pair in pairs(place)} for place in places}
    wanted = {value for values in hashes.values() for value in values}
    found = set((await conn.execute(select(erased.c.hash).where(among(erased.c.hash, wanted)))).scalars())
    return [place for place, values in hashes.items() if values & found]


def _pairs(person: Person) -> tuple[Pair, ...]:
    return person.identities or ((("phone", person.phone),) if person.phone else ())


def _hash(key: bytes, pair: Pair) -> bytes:
    return hmac.digest(key, "\0".join(pair).encode(), hashlib.sha256)
