"""Lines of a draft about customers who are known: what they change is found, and written, by a few statements over all.

What a line does to a customer is told by customers/known.py; here it is told in SQL. What takes more than that (a move
into another household, an id that contradicts another) is left for the careful way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any
from zlib import crc32

from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.changes import CONSENTS, CUSTOMERS, note_changed
from customers.consents import MARKETING
from customers.imports.columns import NULL, copied
from customers.imports.drafts import Draft
from customers.imports.shape import Shape
from customers.imports.targets import IMPORT_SOURCE
from customers.known import HOME
from customers.models import customers
from runtime.database import Copied, copy_text, driver

_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]
_ALWAYS = frozenset({"email", "phone"})
"""Fields that are a primary address as well."""


@dataclass(frozen=True)
class Familiar:
    """Places of lines that say nothing new, and of those whose news is written."""

    unchanged: Set[int] = frozenset()
    changed: Set[int] = frozenset()


async def take_familiar(
    conn: AsyncConnection, shape: Shape, draft: Draft, owners: Mapping[int, int], new: Set[int]
) -> Familiar:
    """Write what the lines of `owners` (place → customer, each once) change. `new`: the places of lines some identity
    of which is nobody's yet. Those that are neither of the answer's sets must go the careful way."""
    if not owners:
        return Familiar()
    lines = _Lines(shape, draft)
    await _run(conn, lines.made)
    await copy_text(conn, Copied(lines.table, (), [b"".join(lines.rows(owners, new))]))
    told = dict(await _run(conn, lines.sorted_out, lines.words))
    unchanged = {place for place, careful in told.items() if not careful}
    changed = owners.keys() - told.keys()
    if changed:
        consenting = [row[0] for statement in lines.written for row in await _run(conn, statement, lines.words)]
        await note_changed(conn, CUSTOMERS, [owners[place] for place in changed])
        await note_changed(conn, CONSENTS, consenting)
    return Familiar(unchanged, changed)


async def _run(conn: AsyncConnection, statement: str, words: Mapping[str, str] | None = None) -> list[Any]:
    """Planned each time: a plan from when the tables were small would be kept while they grow."""
    cursor = await (await driver(conn)).execute(statement.encode(), words, prepare=False)
    return await cursor.fetchall() if cursor.description else []


class _Lines:
    """The lines as rows `d` of a table of this session, and the statements over them. Names in the statements are those
    of our own columns; what comes from a mapping stands in `words`."""

    def __init__(self, shape: Shape, draft: Draft) -> None:
        self._shape, self._draft = shape, draft
        self._kinds, self._channels = list(shape.identities), list(shape.consents)
        typed = ", ".join(self._typed())
        self.table = f"drafted_{crc32(typed.encode()):08x}"
        self.made = f"CREATE TEMP TABLE IF NOT EXISTS {self.table} ({typed}) ON COMMIT DELETE ROWS"
        self.words = {f"kind_{place}": kind for place, kind in enumerate(self._kinds)}
        self.words |= {f"channel_{place}": channel for place, channel in enumerate(self._channels)}

    def _typed(self) -> Iterator[str]:
        yield from ("place int", "new boolean")
        for name in self._draft.sheets[0].columns:
            yield f'"{name}" {customers.c[name].type.compile(_DIALECT)}'
        yield from (f"identity_{place} text" for place in range(len(self._kinds)))
        yield from (f"consent_{place} boolean" for place in range(len(self._channels)))

    def rows(self, owners: Mapping[int, int], new: Set[int]) -> Iterator[bytes]:
        draft, people = self._draft, self._draft.sheets[0].rows()
        columns: list[Sequence[Any]] = [draft.keys[kind] for kind in self._kinds]
        columns += [draft.consents[channel] for channel in self._channels]
        for place, customer in owners.items():
            row = people[place] % f"{customer}\t{NULL}".encode()
            said = "".join(f"\t{copied(column[place])}" for column in columns).encode()
            yield b"%d\t%b\t%b%b\n" % (place, b"t" if place in new else b"f", row[:-1], said)

    @property
    def sorted_out(self) -> str:
        """Takes away what is not to be written here: unchanged lines, and those (`careful`) that are left."""
        careful, same = " OR ".join(self._careful()) or "false", " AND ".join(self._same())
        return f"""
            DELETE FROM {self.table} d USING customers c
            WHERE c.id = d.id AND ({careful} OR {same}) RETURNING d.place, {careful}
        """  # noqa: S608

    @property
    def written(self) -> Iterator[str]:
        """What writes the lines that are there; gives the customers who have new consents."""
        signs, addresses, words = self._signs(), self._addresses(), self._consents()
        if signs:
            yield _IDENTITIES.format(table=self.table, values=", ".join(signs))
        if words:
            yield _CONSENTS.format(table=self.table, values=", ".join(words), marketing=MARKETING, source=IMPORT_SOURCE)
        if addresses:
            yield _ADDRESSES.format(table=self.table, values=", ".join(addresses))
        yield f"UPDATE customers c SET {', '.join(self._settings())} FROM {self.table} d WHERE c.id = d.id"  # noqa: S608

    def _careful(self) -> Iterator[str]:
        if "external_id" in self._shape.columns:
            owned = "SELECT FROM identities i WHERE i.kind = 'external_id' AND i.value = d.external_id"
            yield f"(d.new AND d.external_id IS NOT NULL AND c.external_id IS NOT NULL AND NOT EXISTS ({owned}))"
        if moved := self._moved():
            address = "coalesce(d.address, c.address)" if "address" in self._shape.columns else "c.address"
            yield f"({moved} AND {address} IS NOT NULL)"

    def _moved(self) -> str:
        parts = [f"d.{name} IS NOT NULL AND d.{name} IS DISTINCT FROM c.{name}" for name in self._home()]
        return f"({' OR '.join(parts)})" if parts else ""

    def _home(self) -> list[str]:
        return [name for name in self._shape.columns if name in HOME]

    def _same(self) -> Iterator[str]:
        """An absent value (NULL, no tags) says nothing, a value says nothing new where it stands."""
        columns = self._shape.columns
        yield "NOT d.new"
        yield from (f'(d."{name}" IS NULL OR d."{name}" = c."{name}")' for name in columns if name != "external_id")
        if "external_id" in columns:
            yield "(d.external_id IS NULL OR c.external_id IS NOT NULL)"
        yield "(d.tags = '{}' OR d.tags = c.tags)"
        yield "c.attributes || d.attributes = c.attributes"
        held = "SELECT FROM contact_addresses a WHERE a.customer_id = c.id AND a.is_primary AND a.kind ="
        for name in columns:
            if name in _ALWAYS:
                yield f"(d.{name} IS NULL OR EXISTS ({held} '{name}' AND a.value = d.{name}))"
        for n in range(len(self._kinds)):
            leads = f"EXISTS ({held} %(kind_{n})s)"
            yield f"(d.identity_{n} IS NULL OR ({leads} AND EXISTS ({_HAS.format(n=n)})))"
        for n in range(len(self._channels)):
            yield f"(d.consent_{n} IS NULL OR {_STANDS.format(n=n, marketing=MARKETING)})"

    def _settings(self) -> Iterator[str]:
        """What an UPDATE sets: all of a customer whom a line changes anything about."""
        shape = self._shape
        for name in shape.columns:
            if name == "external_id":
                yield "external_id = coalesce(c.external_id, d.external_id)"
                continue
            for column in (name, f"{name}_folded"):
                if column in shape.copied:
                    yield f'"{column}" = CASE WHEN d."{name}" IS NULL THEN c."{column}" ELSE d."{column}" END'
        for column in ("tags", "tags_folded"):
            yield f"{column} = CASE WHEN d.tags = '{{}}' THEN c.{column} ELSE d.{column} END"
        given = "ARRAY(SELECT jsonb_object_keys(d.attributes))"
        yield "attributes = c.attributes || d.attributes"
        yield f"attributes_folded = (c.attributes_folded - {given}) || d.attributes_folded"
        if moved := self._moved():
            yield f"household_id = CASE WHEN {moved} THEN NULL ELSE c.household_id END"
        yield "updated_at = d.updated_at"

    def _signs(self) -> list[str]:
        """What says who somebody is: kind and value."""
        named = [f"('{name}', d.{name})" for name in ("external_id", "email") if name in self._shape.columns]
        return [*named, *(f"(%(kind_{n})s, d.identity_{n})" for n in range(len(self._kinds)))]

    def _addresses(self) -> list[str]:
        """Where they can be reached: kind, value, and whether it comes before what was known."""
        named = [f"('{name}', d.{name}, true)" for name in self._shape.columns if name in _ALWAYS]
        return [*named, *(f"(%(kind_{n})s, d.identity_{n}, false)" for n in range(len(self._kinds)))]

    def _consents(self) -> list[str]:
        return [f"(%(channel_{n})s, d.consent_{n})" for n in range(len(self._channels))]


_HAS = """
    SELECT FROM contact_addresses a WHERE a.customer_id = c.id AND a.kind = %(kind_{n})s AND a.value = d.identity_{n}
"""
# The word repeats what stands, or would override a withdrawal, or is in the ledger already.
_STANDS = """
    coalesce((
        SELECT s.granted = d.consent_{n} OR NOT s.granted FROM standing_consents s
        WHERE s.customer_id = c.id AND s.channel = %(channel_{n})s AND s.purpose = '{marketing}'
    ), false) OR EXISTS (
        SELECT FROM consents e WHERE e.customer_id = c.id AND e.channel = %(channel_{n})s AND e.purpose = '{marketing}'
        AND e.granted = d.consent_{n} AND e.at = greatest(d.updated_at, (
            SELECT s.at FROM standing_consents s
            WHERE s.customer_id = c.id AND s.channel = %(channel_{n})s AND s.purpose = '{marketing}'))
    )
"""
_IDENTITIES = """
    INSERT INTO identities (kind, value, customer_id)
    SELECT said.kind, said.value, d.id
    FROM {table} d CROSS JOIN LATERAL (VALUES {values}) AS said(kind, value)
    WHERE d.new AND said.value IS NOT NULL
    ON CONFLICT (kind, value) DO NOTHING
"""
_ADDRESSES = """
    WITH given AS MATERIALIZED (
        SELECT d.id, said.kind, said.value, said.leads OR NOT EXISTS (
            SELECT FROM contact_addresses p WHERE p.customer_id = d.id AND p.kind = said.kind AND p.is_primary) AS leads
        FROM {table} d CROSS JOIN LATERAL (VALUES {values}) AS said(kind, value, leads)
        LEFT JOIN contact_addresses a ON a.customer_id = d.id AND a.kind = said.kind AND a.value = said.value
        WHERE said.value IS NOT NULL AND a.is_primary IS NOT TRUE
    ), demoted AS (
        UPDATE contact_addresses a SET is_primary = false FROM given
        WHERE given.leads AND a.customer_id = given.id AND a.kind = given.kind AND a.value <> given.value
        AND a.is_primary
    )
    INSERT INTO contact_addresses (customer_id, kind, value, is_primary)
    SELECT id, kind, value, leads FROM given
    ON CONFLICT (customer_id, kind, value) DO UPDATE SET is_primary = true WHERE excluded.is_primary
"""
# As customers/consents.py has it: an undated word is of now, and stands unless something later does.
_CONSENTS = """
    WITH given AS MATERIALIZED (
        SELECT d.id, said.channel, said.granted, d.updated_at AS at
        FROM {table} d CROSS JOIN LATERAL (VALUES {values}) AS said(channel, granted)
        LEFT JOIN standing_consents s
            ON s.customer_id = d.id AND s.channel = said.channel AND s.purpose = '{marketing}'
        WHERE said.granted IS NOT NULL AND (s.granted IS NULL OR (s.granted AND NOT said.granted)) AND NOT EXISTS (
            SELECT FROM consents e WHERE e.customer_id = d.id AND e.channel = said.channel AND e.granted = said.granted
            AND e.purpose = '{marketing}' AND e.at = greatest(d.updated_at, s.at))
    ), told AS (
        INSERT INTO consents (customer_id, channel, purpose, at, granted, source, recorded_at)
        SELECT id, channel, '{marketing}', at, granted, '{source}', at FROM given
        WHERE NOT EXISTS (
            SELECT FROM consents e WHERE e.customer_id = given.id AND e.channel = given.channel
            AND e.purpose = '{marketing}' AND e.at = given.at AND e.granted = given.granted)
    ), stood AS (
        INSERT INTO standing_consents (customer_id, channel, purpose, granted, at, source, source_folded)
        SELECT id, channel, '{marketing}', granted, at, '{source}', '{source}' FROM given
        ON CONFLICT (customer_id, channel, purpose) DO UPDATE
        SET granted = excluded.granted, at = excluded.at, source = excluded.source,
            source_folded = excluded.source_folded
        WHERE standing_consents.at <= excluded.at
    )
    SELECT DISTINCT id FROM given
"""
