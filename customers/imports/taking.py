"""A draft becomes rows: those whom nobody is yet by COPY, those who are known by a few statements, the rest the careful
way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.attributes import attribute_kinds, define_attributes
from customers.bulk import take_turn
from customers.changes import EVERYTHING, note_changed
from customers.erased import erased_pairs
from customers.households import ids_of_keys
from customers.imports.columns import NULL, array
from customers.imports.drafts import BETWEEN, Draft
from customers.imports.familiar import take_familiar
from customers.imports.shape import Shape
from customers.people import CODES, ensure_codes, new_ids
from customers.person import Pair
from runtime.database import Copied, copy_text
from runtime.registry import Kind

_OWNERS = """
    SELECT kind, value, customer_id FROM identities
    WHERE kind = :kind_{n} AND value = ANY (CAST(:values_{n} AS text[]))
"""
_HOLDERS = """
    SELECT kind, value, customer_id
    FROM contact_addresses JOIN unnest(CAST(:values_{n} AS text[])) AS asked(value) USING (value) WHERE kind = :kind_{n}
"""


@dataclass(frozen=True)
class Taken:
    """What became of a draft: how many customers were made, how many lines changed somebody or nothing, and the places
    of those that are left for the careful way."""

    created: int
    updated: int
    unchanged: int
    left: Sequence[int]


async def take_draft(conn: AsyncConnection, shape: Shape, draft: Draft) -> Taken:
    """Take in what of `draft` can be taken in as it stands. The lines that are left, and those beside it, must follow
    at once."""
    await take_turn(conn)
    places = range(len(draft.lines))
    if not await _agree(conn, draft.attribute_kinds):
        return Taken(0, 0, 0, places)
    owners, others = await _owners(conn, draft)
    new = {place for place, meant in owners.items() if 0 in meant}
    left = {place for place, meant in owners.items() if len(meant - {0}) > 1}
    left |= await _erased(conn, draft, places)  # known ones too: a phone may be somebody else's who is still there
    named = Counter([*others, *(owner for meant in owners.values() for owner in meant)])
    known = {place: max(meant) for place, meant in owners.items() if place not in left}
    alone = {place: owner for place, owner in known.items() if named[owner] == 1}
    familiar = await take_familiar(conn, shape, draft, alone, new)
    left |= known.keys() - familiar.unchanged - familiar.changed
    old = left | familiar.unchanged | familiar.changed
    created = [place for place in places if place not in old]
    for name, codes in draft.codes.items():
        await ensure_codes(conn, CODES[name], {codes[place] for place in (*created, *familiar.changed)})
    await _make(conn, draft, created)
    return Taken(len(created), len(familiar.changed), len(familiar.unchanged), sorted(left))


async def _agree(conn: AsyncConnection, kinds: Mapping[str, str]) -> bool:
    """Whether the attributes are what the draft took them for; new ones are defined."""
    if not kinds:
        return True
    defined = await attribute_kinds(conn)
    new = {key: Kind(kind) for key, kind in kinds.items() if key not in defined}
    if any(defined[key].value != kind for key, kind in kinds.items() if key not in new):
        return False
    await define_attributes(conn, new)
    return True


async def _owners(conn: AsyncConnection, draft: Draft) -> tuple[dict[int, set[int]], set[int]]:
    """Whose each line is, by place, if it is anybody's (0 among them: not all of its identities are); and whom lines
    beside the draft mean."""
    wanted = {kind: [value for value in column if value is not None] for kind, column in draft.keys.items()}
    wanted["phone"] = list(draft.lone.values())
    met = await _look_up(conn, {kind: [*values, *draft.aside.get(kind, ())] for kind, values in wanted.items()})
    others = {owner for kind, values in draft.aside.items() for value in values for owner in met[kind].get(value, ())}
    holders = met.pop("phone")
    found = {place: set(holders[phone]) for place, phone in draft.lone.items() if phone in holders}
    for kind, owners in met.items():
        if owners:
            found |= {place: set() for place, value in enumerate(draft.keys[kind]) if value in owners}
    for place in found.keys() - draft.lone.keys():
        signs = [(kind, value) for kind, column in draft.keys.items() if (value := column[place]) is not None]
        found[place] = {owner for kind, value in signs for owner in met[kind].get(value, (0,))}
    return found, others


async def _look_up(conn: AsyncConnection, wanted: Mapping[str, Sequence[str]]) -> dict[str, dict[str, list[int]]]:
    """Kind → value → whose it is. Of `phone`, who can be reached there."""
    asked = [(kind, values) for kind, values in wanted.items() if values]
    found: dict[str, dict[str, list[int]]] = {kind: {} for kind in wanted}
    if not asked:
        return found
    parts = [(_HOLDERS if kind == "phone" else _OWNERS).format(n=n) for n, (kind, _) in enumerate(asked)]
    values: dict[str, str] = {}
    for n, (kind, column) in enumerate(asked):
        values |= {f"kind_{n}": kind, f"values_{n}": array(column)}
    for kind, value, customer in await conn.execute(text(" UNION ALL ".join(parts)), values):
        found[kind].setdefault(value, []).append(customer)
    return found


async def _erased(conn: AsyncConnection, draft: Draft, places: Collection[int]) -> set[int]:
    def pairs(place: int) -> tuple[Pair, ...]:
        named = tuple((kind, value) for kind, column in draft.keys.items() if (value := column[place]))
        return named or (("phone", draft.lone[place]),)

    return set(await erased_pairs(conn, places, pairs))


async def _make(conn: AsyncConnection, draft: Draft, places: Sequence[int]) -> None:
    """New customers of these lines, with all that belongs to them."""
    if not places:
        return
    ids = [0] * len(draft.lines)
    for place, number in zip(places, await new_ids(conn, len(places)), strict=True):
        ids[place] = number
    numbered = await _numbered(conn, draft, ids)
    for sheet in draft.sheets:
        rows = sheet.filled(numbered if sheet.table == "customers" else ids, ids)
        await copy_text(conn, Copied(sheet.table, sheet.columns, rows))
    await note_changed(conn, EVERYTHING, list(filter(None, ids)))


async def _numbered(conn: AsyncConnection, draft: Draft, ids: Sequence[int]) -> list[bytes]:
    """Each one's number and household, as two columns."""
    if not draft.homes:
        return [b"%d\t\\N" % number for number in ids]
    homes = [home if number else None for number, home in zip(ids, draft.homes, strict=True)]
    wanted = {home[0]: {"key": home[0], "community": home[1], "address": home[2]} for home in homes if home}
    found = await ids_of_keys(conn, wanted) if wanted else {}
    return [f"{number}\t{found[home[0]] if home else NULL}".encode() for number, home in zip(ids, homes, strict=True)]


def lines_of(draft: Draft, places: Iterable[int]) -> Iterable[tuple[int, list[str]]]:
    """The number and cells of these lines."""
    return ((draft.lines[place], draft.cells[place].split(BETWEEN)) for place in places)
