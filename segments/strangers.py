"""People of a list whom nobody knows, made customers: with the consent that the list's owner vouches for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.consents import MARKETING
from customers.upsert import upsert
from runtime.clock import utc_now
from runtime.database import copy_rows
from runtime.errors import Invalid, Problem
from runtime.house import House
from runtime.jobs import check_claim
from runtime.registry import channel_kinds
from runtime.settings import Settings
from segments.models import audiences

_BATCH = 1_000
_SOURCE_LIMIT = 200

_PAGE = text("""
    SELECT l.line, l.record, array_agg(DISTINCT s.kind) AS kinds
    FROM audience_lines l JOIN audience_signs s USING (line) LEFT JOIN audience_found f USING (line)
    WHERE f.line IS NULL AND l.fault IS NULL AND l.line > :after
    GROUP BY l.line, l.record HAVING NOT bool_or(s.kind = 'id') ORDER BY l.line LIMIT :limit
""")
_REFUSED = (
    "CREATE TEMP TABLE IF NOT EXISTS audience_refused (line bigint, reason text) ON COMMIT DROP",
    "UPDATE audience_lines l SET refusal = r.reason FROM audience_refused r WHERE r.line = l.line",
)


@dataclass(frozen=True)
class ListConsent:
    """What the people of a list agreed to, as whoever uploads it vouches: `source` says where and when (`Fair 2026`),
    `text` the wording. `channels` empty: those that a line has an address for."""

    source: str
    text: str | None = None
    channels: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {"source": self.source, "text": self.text, "channels": list(self.channels)}

    def entries(self, kinds: Sequence[str]) -> list[dict[str, Any]]:
        """The consents of a person who has addresses of these `kinds`."""
        known = channel_kinds()
        chosen = self.channels or [name for name, channel in known.items() if channel.address_kind in kinds]
        entry = {"purpose": MARKETING, "granted": True, "source": self.source, "text_version": self.text}
        return [{"channel": channel, **entry} for channel in chosen]


def read_list_consent(source: str, wording: str, channels: Sequence[str]) -> ListConsent:
    """The consent that a form or a call states. Raises Invalid naming `consent_source`, `consent_text` or
    `consent_channels`."""
    plain, told = " ".join(source.replace("\0", "").split()), " ".join(wording.replace("\0", "").split())
    problems = []
    if not plain:
        missing = "is missing: unknown people are made customers only with where and when they consented (Fair 2026)"
        problems.append(Problem("consent_source", missing))
    for name, value in (("consent_source", plain), ("consent_text", told)):
        if len(value) > _SOURCE_LIMIT:
            problems.append(Problem(name, f"has at most {_SOURCE_LIMIT} characters"))
    known = ", ".join(channel_kinds())
    unknown = [channel for channel in channels if channel not in channel_kinds()]
    problems += [Problem("consent_channels", f"there is no channel {one[:40]!r}; known: {known}") for one in unknown]
    if problems:
        raise Invalid(problems)
    return ListConsent(plain, told or None, tuple(dict.fromkeys(channels)))


def list_consent_of(stored: dict[str, Any] | None) -> ListConsent | None:
    """As `to_json` wrote it."""
    return None if stored is None else ListConsent(stored["source"], stored["text"], tuple(stored["channels"]))


async def create_strangers(house: House, conn: AsyncConnection, audience_id: int, consent: ListConsent) -> None:
    """Make customers of the lines in `conn`'s tables that name nobody, batch by batch in transactions of their own, so
    that no other writer waits for long; the list counts them. Lines that are refused keep the reason."""
    await conn.execute(text(_REFUSED[0]))
    after = 0
    while page := (await conn.execute(_PAGE, {"after": after, "limit": _BATCH})).all():
        async with house.database.begin() as writing:
            await check_claim(writing)
            refused = await _create(writing, audience_id, page, consent, settings=house.settings, now=utc_now())
        await copy_rows(conn, "audience_refused", ("line", "reason"), refused)
        after = page[-1].line
        if house.stopping.is_set():
            return
    await conn.execute(text(_REFUSED[1]))


async def _create(
    conn: AsyncConnection,
    audience_id: int,
    page: Sequence[Row[Any]],
    consent: ListConsent,
    *,
    settings: Settings,
    now: datetime,
) -> list[tuple[int, str]]:
    records = [{**row.record, "consents": consent.entries(row.kinds)} for row in page]
    done = await upsert(conn, "customers", records, settings=settings, now=now)
    counted = update(audiences).where(audiences.c.id == audience_id)
    await conn.execute(counted.values(created=audiences.c.created + done.created))
    return [(page[one.index].line, "; ".join(str(problem) for problem in one.problems)) for one in done.rejected]
