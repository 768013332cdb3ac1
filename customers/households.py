"""Households: one per home, known by its community (else city) and address."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.bulk import among, put_new
from customers.models import households
from runtime.text import fold

_LONG = 200


def household_key(home: Mapping[str, Any]) -> str | None:
    """The key of the home at `community`, `city`, `address`; None without address, or with neither of the others.

    A long address stands as its hash: it would not fit the index.
    """
    address = "".join((fold(home["address"]) or "").split())
    place = home["community"] or fold(home["city"])
    if len(address) > _LONG:
        address = hashlib.sha256(address.encode()).hexdigest()
    return f"{place}|{address}" if address and place else None


async def household_ids(conn: AsyncConnection, homes: Sequence[Mapping[str, Any]]) -> list[int | None]:
    """The id of each home's household, made where it is new."""
    rows = {
        key: {"key": key, "community": home["community"], "address": home["address"]}
        for home in homes
        if (key := household_key(home))
    }
    if not rows:
        return [None] * len(homes)
    ids = await ids_of_keys(conn, rows)
    return [ids.get(household_key(home) or "") for home in homes]


async def ids_of_keys(conn: AsyncConnection, rows: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    """The ids of the households with these keys; `rows` (key, community, address) make those that are new."""
    await put_new(conn, households, [rows[key] for key in sorted(rows)])
    found = await conn.execute(select(households.c.key, households.c.id).where(among(households.c.key, rows)))
    return {key: number for key, number in found}  # noqa: C416 -- rows, not pairs, to mypy
