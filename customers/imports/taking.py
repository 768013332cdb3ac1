"""A draft becomes rows: those whom nobody is yet by COPY, those who are known and unchanged not at all, the rest the
careful way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.attributes import attribute_kinds, define_attributes
from customers.bulk import take_turn
from customers.changes import EVERYTHING, note_changed
from customers.consents import MARKETING
from customers.erased import erased_pairs
from customers.households import ids_of_keys
from customers.imports.columns import NULL, array, copied, texts
from customers.imports.drafts import Draft
from customers.imports.shape import Shape
from customers.imports.targets import IMPORT_SOURCE
from customers.imports.unchanged import unchanged_among
from customers.people import CODES, ensure_codes, new_ids
from customers.person import Pair
from runtime.database import Copied, copy_in_turn
from runtime.registry import Kind

_OWNERS = text("SELECT value, customer_id FROM identities WHERE kind = :kind AND value = ANY (CAST(:values AS text[]))")
_HOLDERS = text(
    "SELECT value, customer_id FROM contact_addresses"
    " WHERE kind = 'phone' AND value = ANY (CAST(:values AS text[])) ORDER BY value, customer_id"
)
_EXTRAS = ("tags", "tags_folded", "attributes", "attributes_folded")
_STANDING = ("customer_id", "channel", "purpose", "granted", "at", "source", "source_folded")


@dataclass(frozen=True)
class Taken:
    """What became of a draft: how many customers were made, how many lines changed nothing, and the places of those
    that are left for the careful way."""

    created: int
    unchanged: int
    left: Sequence[int]


async def take_draft(conn: AsyncConnection, shape: Shape, draft: Draft, *, now: datetime) -> Taken:
    """Take in what of `draft` can be taken in as it stands. The lines that are left must follow at once."""
    await take_turn(conn)
    places = range(len(draft.lines))
    if not await _agree(conn, draft.attribute_kinds):
        return Taken(0, 0, places)
    owners = await _owners(conn, draft)
    left = {place for place in places if owners[place] is _SEVERAL}
    left |= await _erased(conn, draft, places)  # known ones too: a phone may be somebody else's who is still there
    known = {place: owner for place, owner in enumerate(owners) if isinstance(owner, int) and place not in left}
    alone = Counter(known.values())
    same = {place: owner for place, owner in known.items() if alone[owner] == 1}
    unchanged = await unchanged_among(conn, shape, draft, same)
    left |= known.keys() - unchanged
    made = [place for place in places if owners[place] is None and place not in left]
    await _make(conn, shape, draft, made, now)
    return Taken(len(made), len(unchanged), sorted(left))


class _Several:
    """Stands for more than one owner, or one who does not have all of a line's identities."""


_SEVERAL = _Several()


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


async def _owners(conn: AsyncConnection, draft: Draft) -> list[int | _Several | None]:
    """Whose each line is: None nobody's, _SEVERAL where the careful way must tell."""
    count = len(draft.lines)
    found: list[int | _Several | None] = [None] * count
    lookups = {kind: await _look_up(conn, _OWNERS, column, kind=kind) for kind, column in draft.keys.items()}
    lone = _nameless(draft)
    if lone:
        rows = await conn.execute(_HOLDERS, {"values": array(str(draft.phones[place]) for place in lone)})
        holders: dict[str, list[int]] = {}
        for phone, customer in rows:
            holders.setdefault(phone, []).append(customer)
        for place in lone:
            held = holders.get(str(draft.phones[place]), [])
            found[place] = held[0] if len(held) == 1 else _SEVERAL if held else None
    met = {
        place
        for kind, owned in lookups.items()
        if owned
        for place, value in enumerate(draft.keys[kind])
        if value in owned
    }
    for place in met:
        mine = {lookups[kind].get(column[place]) for kind, column in draft.keys.items() if column[place] is not None}
        found[place] = mine.pop() if len(mine) == 1 else _SEVERAL
    return found


async def _look_up(
    conn: AsyncConnection, statement: Any, column: Sequence[str | None], **more: Any
) -> dict[str | None, int]:
    values = [value for value in column if value is not None]
    if not values:
        return {}
    rows = await conn.execute(statement, {"values": array(values), **more})
    return {value: customer for value, customer in rows}  # noqa: C416 -- rows, not pairs, to mypy


def _nameless(draft: Draft) -> list[int]:
    """The places of lines that have a phone alone."""
    if not draft.keys:
        return list(range(len(draft.lines)))
    return [place for place, found in enumerate(zip(*draft.keys.values(), strict=True)) if not any(found)]


async def _erased(conn: AsyncConnection, draft: Draft, places: Collection[int]) -> set[int]:
    def pairs(place: int) -> tuple[Pair, ...]:
        named = tuple((kind, value) for kind, column in draft.keys.items() if (value := column[place]))
        return named or (("phone", str(draft.phones[place])),)

    return set(await erased_pairs(conn, places, pairs))


async def _make(conn: AsyncConnection, shape: Shape, draft: Draft, places: Sequence[int], now: datetime) -> None:
    """New customers with all that belongs to them."""
    if not places:
        return
    ids = await new_ids(conn, len(places))
    for name, codes in draft.codes.items():
        await ensure_codes(conn, CODES[name], codes)
    homes = await _homes(conn, [draft.homes[place] for place in places])
    every = len(places) == len(draft.lines)

    def chosen(column: Sequence[Any]) -> Sequence[Any]:
        return column if every else [column[place] for place in places]

    moment = now.isoformat()
    keys = {kind: chosen(column) for kind, column in draft.keys.items()}
    reached = {
        **{kind: column for kind, column in keys.items() if kind != "external_id"},
        "phone": chosen(draft.phones),
    }
    consents = {channel: chosen(words) for channel, words in draft.consents.items()}

    def copies() -> Iterator[Copied]:
        people = zip(ids, homes, chosen(draft.rows), chosen(draft.extras), strict=True)
        rows = [f"{number}\t{home}\t{row}\t{extra}\t{moment}\t{moment}\n" for number, home, row, extra in people]
        yield Copied("customers", ("id", "household_id", *shape.copied, *_EXTRAS, "created_at", "updated_at"), rows)
        yield Copied("activity", ("customer_id",), [f"{number}\n" for number in ids])
        yield from _identities(ids, keys)
        yield _addresses(ids, reached)
        yield from _consents(ids, consents, moment)

    await copy_in_turn(conn, copies())
    await note_changed(conn, EVERYTHING, ids)


async def _homes(conn: AsyncConnection, homes: Sequence[tuple[str, str | None, str] | None]) -> Sequence[int | str]:
    wanted = {home[0]: {"key": home[0], "community": home[1], "address": home[2]} for home in homes if home}
    if not wanted:
        return [NULL] * len(homes)
    ids = await ids_of_keys(conn, wanted)
    return [ids[home[0]] if home else NULL for home in homes]


def _identities(ids: Sequence[int], columns: Mapping[str, Sequence[str | None]]) -> Iterator[Copied]:
    """In the order of their index."""
    for kind, column in columns.items():
        ordered = sorted([(value, number) for value, number in zip(texts(column), ids, strict=True) if value])
        rows = [f"{kind}\t{value}\t{number}\n" for value, number in ordered]
        yield Copied("identities", ("kind", "value", "customer_id"), rows)


def _addresses(ids: Sequence[int], columns: Mapping[str, Sequence[str | None]]) -> Copied:
    """One person's together, as they are read, and as the index of the table grows."""
    kinds = sorted(columns)
    held = [
        [value and f"{number}\t{kind}\t{value}\tt\n" for number, value in zip(ids, texts(columns[kind]), strict=True)]
        for kind in kinds
    ]
    rows = [row for person in zip(*held, strict=True) for row in person if row]
    return Copied("contact_addresses", ("customer_id", "kind", "value", "is_primary"), rows)


def _consents(ids: Sequence[int], columns: Mapping[str, Sequence[bool | None]], moment: str) -> Iterator[Copied]:
    """The ledger, and what stands: of a new customer the same."""
    ledger: list[str] = []
    standing: list[str] = []
    for channel, words in columns.items():
        for granted in (True, False):
            said = f"{channel}\t{MARKETING}\t{copied(granted)}\t{moment}\t{IMPORT_SOURCE}\t"
            numbers = [number for number, word in zip(ids, words, strict=True) if word is granted]
            ledger += [f"{number}\t{said}{moment}\n" for number in numbers]
            standing += [f"{number}\t{said}{IMPORT_SOURCE}\n" for number in numbers]
    yield Copied("consents", (*_STANDING[:-1], "recorded_at"), ledger)
    yield Copied("standing_consents", _STANDING, standing)


def lines_of(draft: Draft, places: Iterable[int]) -> Iterable[tuple[int, list[str]]]:
    """The number and cells of these lines."""
    return ((draft.lines[place], draft.cells[place].split("\0")) for place in places)
