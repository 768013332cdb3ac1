"""Facts that the whole installation shares, by name."""

from __future__ import annotations

import secrets
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from runtime.errors import HearthError
from runtime.models import workspace
from runtime.signing import Signer


class WrongSecret(HearthError):
    """HEARTH_SECRET_KEY is not the key that this database was set up with."""


async def remember(conn: AsyncConnection, key: str, value: Any) -> Any:
    """Keep `value` (JSON) under `key` unless something is there already; what stands there afterwards."""
    found = select(workspace.c.value).where(workspace.c.key == key)
    standing = await conn.scalar(found)
    if standing is None:
        await conn.execute(insert(workspace).values(key=key, value=value).on_conflict_do_nothing())
        standing = await conn.scalar(found)
    return standing


async def put(conn: AsyncConnection, key: str, value: Any) -> None:
    """Keep `value` (JSON) under `key` in place of what was there."""
    row = insert(workspace).values(key=key, value=value)
    await conn.execute(row.on_conflict_do_update(index_elements=["key"], set_={"value": row.excluded.value}))


async def lasting_key(conn: AsyncConnection, purpose: str) -> bytes:
    """A random key that is never rotated (32 bytes), made on first use: for hashes that must match for ever."""
    kept = await remember(conn, f"key:{purpose}", secrets.token_hex(32))
    return bytes.fromhex(kept)


async def check_secret(conn: AsyncConnection, signer: Signer) -> None:
    """The database knows the fingerprint of its secret; the first start and a rotation (`old,new`) write it.

    Raises WrongSecret: with another key every link and session out there would be void.
    """
    known = signer.fingerprints
    standing = await remember(conn, "secret", known[-1])
    if standing not in known:
        raise WrongSecret(
            f"HEARTH_SECRET_KEY: this database was set up with another key (fingerprint {standing}, yours is "
            f"{known[-1]}); use that key, or `old,new` to change it"
        )
    if standing != known[-1]:
        await put(conn, "secret", known[-1])
