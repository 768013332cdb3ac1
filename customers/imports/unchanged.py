"""Which lines of a draft say nothing new about the customers whom they mean: told by two statements over all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.consents import MARKETING
from customers.imports.columns import copied
from customers.imports.drafts import Draft
from customers.imports.shape import Shape
from customers.models import customers
from runtime.database import Copied, copy_text

_TABLE = "drafted"


async def unchanged_among(conn: AsyncConnection, shape: Shape, draft: Draft, owners: Mapping[int, int]) -> set[int]:
    """Those of the places in `owners` (place → customer) whose lines say what is known already."""
    if not owners:
        return set()
    kinds = list(shape.identities)
    channels = list(shape.consents)
    typed = [
        "place int",
        "customer_id bigint",
        *(f'"{name}" {customers.c[name].type}' for name in shape.copied),
        "tags text[], tags_folded text[], attributes jsonb, attributes_folded jsonb",
        *(f"identity_{place} text" for place in range(len(kinds))),
        *(f"consent_{place} boolean" for place in range(len(channels))),
    ]
    await conn.execute(text(f"CREATE TEMP TABLE {_TABLE} ({', '.join(typed)}) ON COMMIT DROP"))
    await copy_text(conn, Copied(_TABLE, (), _rows(draft, owners, kinds, channels)))
    parameters = {f"kind_{place}": kind for place, kind in enumerate(kinds)}
    parameters |= {f"channel_{place}": channel for place, channel in enumerate(channels)}
    found = await conn.execute(text(_statement(shape, len(kinds), len(channels))), parameters)
    places = set(found.scalars())
    await conn.execute(text(f"DROP TABLE {_TABLE}"))
    return places


def _rows(draft: Draft, owners: Mapping[int, int], kinds: list[str], channels: list[str]) -> Iterator[str]:
    for place, customer in owners.items():
        signs = [copied(draft.keys[kind][place]) for kind in kinds]
        words = [copied(draft.consents[channel][place]) for channel in channels]
        rows = [draft.rows[place]] if draft.rows[place] else []
        yield "\t".join([str(place), str(customer), *rows, draft.extras[place], *signs, *words]) + "\n"


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
    joined = f"{_TABLE} d JOIN customers c ON c.id = d.customer_id"
    return f"SELECT d.place FROM {joined} WHERE {' AND '.join(same)}"  # noqa: S608 -- names of our own columns
