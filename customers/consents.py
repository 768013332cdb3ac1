"""The consent ledger: append-only, and its last word per channel and purpose (`standing_consents`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.bulk import as_json
from customers.changes import CONSENTS, note_changed
from customers.results import Consent
from runtime.text import fold

MARKETING = "marketing"  # the purpose of campaigns: what people agree to, and what unsubscribing withdraws

_APPEND = text("""
    INSERT INTO consents (customer_id, channel, purpose, at, granted, source, text_version, proof, recorded_at)
    SELECT customer_id, channel, purpose, at, granted, source, text_version, proof, :now FROM (
        SELECT DISTINCT ON (customer_id, channel, purpose, at, granted) *
        FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS given(customer_id bigint, channel text, purpose text,
            at timestamptz, granted boolean, source text, text_version text, proof jsonb, position int)
        ORDER BY customer_id, channel, purpose, at, granted, position
    ) given
    WHERE NOT EXISTS (
        SELECT FROM consents old WHERE old.customer_id = given.customer_id AND old.channel = given.channel
        AND old.purpose = given.purpose AND old.at = given.at AND old.granted = given.granted)
    ORDER BY position
""")
# The latest of the given entries of each key; where the time is the same, the later in the given order. What stands is
# replaced by an entry of its time or later. A time that is still to come counts as the one at which it was told: nobody
# could withdraw before it.
_STAND = text("""
    INSERT INTO standing_consents (customer_id, channel, purpose, granted, at, source, source_folded)
    SELECT DISTINCT ON (customer_id, channel, purpose)
        customer_id, channel, purpose, granted, told_at, source, source_folded
    FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS given(customer_id bigint, channel text, purpose text,
        granted boolean, told_at timestamptz, source text, source_folded text, position int)
    ORDER BY customer_id, channel, purpose, told_at DESC, position DESC
    ON CONFLICT (customer_id, channel, purpose) DO UPDATE
    SET granted = excluded.granted, at = excluded.at, source = excluded.source, source_folded = excluded.source_folded
    WHERE standing_consents.at <= excluded.at
""")


@dataclass(frozen=True)
class ConsentEntry:
    """Somebody's consent, given or withdrawn; `proof` is what was seen (address, page, message), as JSON."""

    customer_id: int
    consent: Consent
    proof: dict[str, Any] | None = None


async def record_consents(conn: AsyncConnection, entries: Sequence[ConsentEntry], *, now: datetime) -> None:
    """Append to the ledger and let the latest stand; an undated entry is of `now`. The very same entry (person,
    channel, purpose, time, word) is kept once, so repeating a call changes nothing."""
    if not entries:
        return
    rows = as_json([_row(position, entry, now) for position, entry in enumerate(entries)])
    await conn.execute(_APPEND, {"rows": rows, "now": now})
    await conn.execute(_STAND, {"rows": rows})
    await note_changed(conn, CONSENTS, {entry.customer_id for entry in entries})


async def record_consent(
    conn: AsyncConnection, customer_id: int, consent: Consent, *, now: datetime, proof: dict[str, Any] | None = None
) -> None:
    """One entry: see `record_consents`."""
    await record_consents(conn, [ConsentEntry(customer_id, consent, proof)], now=now)


def _row(position: int, entry: ConsentEntry, now: datetime) -> dict[str, Any]:
    consent = entry.consent
    return {
        "customer_id": entry.customer_id,
        "channel": consent.channel,
        "purpose": consent.purpose,
        "at": consent.at or now,
        "told_at": min(consent.at or now, now),
        "granted": consent.granted,
        "source": consent.source,
        "source_folded": fold(consent.source),
        "text_version": consent.text_version,
        "proof": entry.proof,
        "position": position,
    }
