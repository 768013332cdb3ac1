"""How the workspace asks for consent."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from runtime.models import workspace
from runtime.workspace import put

_KEY = "consent"


@dataclass(frozen=True)
class ConsentSettings:
    """`double_opt_in`: who signs up confirms it by a link; without it only those who are known already have to.
    `keep_network_address`: the proof holds it as it is (where the law asks for it), else as a keyed hash."""

    double_opt_in: bool = True
    keep_network_address: bool = False


async def consent_settings(conn: AsyncConnection) -> ConsentSettings:
    """As they stand."""
    found: dict[str, Any] | None = await conn.scalar(select(workspace.c.value).where(workspace.c.key == _KEY))
    return ConsentSettings(**(found or {}))


async def save_consent_settings(conn: AsyncConnection, settings: ConsentSettings) -> None:
    await put(conn, _KEY, asdict(settings))
