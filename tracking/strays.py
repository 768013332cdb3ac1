"""What came back and names no message of ours: forged, damaged, of another system. It changes nothing; the newest are
kept, so that somebody can see what does not arrive."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from runtime.text import printable
from tracking.models import stray_returns

KEPT = timedelta(days=30)
MOST = 1_000
_LONGEST = 300

_row = stray_returns.c


@dataclass(frozen=True, slots=True)
class Stray:
    """`key`: the same however often it comes. `door`: mail, imap, or a provider. `kind`: what it seems to be.
    `recipient`, `words`: as it says, in whatever signs."""

    key: str
    door: str
    kind: str
    recipient: str = ""
    words: str = ""


async def keep_strays(conn: AsyncConnection, strays: Sequence[Stray], now: datetime) -> None:
    """Each once; what is older than KEPT or than the newest MOST goes."""
    if not strays:
        return
    rows = [
        {
            "key": stray.key,
            "at": now,
            "door": stray.door,
            "kind": stray.kind,
            "recipient": printable(stray.recipient)[:_LONGEST],
            "words": printable(stray.words)[:_LONGEST],
        }
        for stray in {each.key: each for each in strays[-MOST:]}.values()
    ]
    # In the order of their keys, so that two who write the same wait for each other and never both.
    rows.sort(key=lambda row: str(row["key"]))
    await conn.execute(insert(stray_returns).on_conflict_do_nothing(index_elements=["key"]), rows)
    newest = select(func.max(_row.id) - MOST).scalar_subquery()
    await conn.execute(delete(stray_returns).where(or_(_row.at < now - KEPT, _row.id <= newest)))
