"""Which lines of a draft say nothing new about the customers whom they mean: told by two statements over all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sqlalchemy import text
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.consents import MARKETING
from customers.imports.columns import NULL, copied
from customers.imports.drafts import Draft
from customers.imports.shape import Shape
from customers.models import customers
from runtime.database import Copied, copy_text

_TABLE = "drafted"
_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]


async def unchanged_among(conn: AsyncConnection, shape: Shape, draft: Draft, owners: Mapping[int, int]) -> set[int]:
    """Those of the places in `owners` (place → customer) whose lines say what is known already."""
    if not owners:
        return set()
    kinds = list(shape.identities)
    channels = list(shape.consents)
    people = draft.sheets[0]
    typed = [
        "place int",
        *(f'"{name}" {customers.c[name].type.compile(_DIALECT)}' for name in people.columns),
        *(f"identity_{place} text" for place in range(len(kinds))),
        *(f"consent_{place} boolean" for place in range(len(channels))),
    ]
    await conn.execute(text(f"CREATE TEMP TABLE {_TABLE} ({', '.join(typed)}) ON COMMIT DROP"))
    await copy_text(conn, Copied(_TABLE, (), b"".join(_rows(draft, owners, kinds, channels))))
    parameters = {f"kind_{place}": kind for place, kind in enumerate(kinds)}
    parameters |= {f"channel_{place}": channel for place, channel in enumerate(channels)}
    found = await conn.execute(text(_statement(shape, len(kinds), len(channels))), parameters)
    places = set(found.scalars())
    await conn.execute(text(f"DROP TABLE {_TABLE}"))
    return places


def _rows(draft: Draft, owners: Mapping[int, int], kinds: list[str], channels: list[str]) -> Iterator[bytes]:
    rows = draft.sheets[0].rows()
    for place, customer in owners.items():
        row = rows[place] % f"{customer}\t{NULL}".encode()
        signs = [copied(draft.keys[kind][place]) for kind in kinds]
        words = [copied(draft.consents[channel][place]) for channel in channels]
        more = "".join(f"\t{each}" for each in (*signs, *words)).encode()
        yield b"%d\t%b%b\n" % (place, row[:-1], more)


def _statement(shape: Shape, kinds: int, channels: int) -> str:
    """After customers/known.py, for lines whose identities are all the customer's: an absent value (NULL, no tags) says
    nothing, a value says nothing new where it stands."""
    same = [f'(d."{name}" IS NULL OR d."{name}" = c."{name}")' for name in shape.columns if name != "external_id"]
    if "external_id" in shape.columns:
        same.append("(d.external_id IS NULL OR c.external_id IS NOT NULL)")
    same.append("(d.tags = '{}' OR d.tags = c.tags)")
    same.append("c.attributes || d.attributes = c.attributes")
    held = "SELECT FROM contact_addresses a WHERE a.customer_id = c.id AND a.kind ="
    same += [
        f"(d.{kind} IS NULL OR EXISTS ({held} '{kind}' AND a.value = d.{kind} AND a.is_primary))"
        for kind in ("email", "phone")
        if kind in shape.columns
    ]
    for place in range(kinds):
        leads = f"EXISTS ({held} :kind_{place} AND a.is_primary)"
        has = f"EXISTS ({held} :kind_{place} AND a.value = d.identity_{place})"
        same.append(f"(d.identity_{place} IS NULL OR ({has} AND {leads}))")
    for place in range(channels):
        stands = (
            f"SELECT FROM standing_consents s WHERE s.customer_id = c.id AND s.channel = :channel_{place}"
            f" AND s.purpose = '{MARKETING}' AND (s.granted = d.consent_{place} OR NOT s.granted)"
        )
        same.append(f"(d.consent_{place} IS NULL OR EXISTS ({stands}))")
    joined = f"{_TABLE} d JOIN customers c ON c.id = d.id"
    return f"SELECT d.place FROM {joined} WHERE {' AND '.join(same)}"  # noqa: S608 -- names of our own columns
