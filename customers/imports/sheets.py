"""Rows for COPY, made before it is known which numbers their customers have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, compress
from typing import Any

from customers.consents import MARKETING
from customers.imports.columns import copied, texts
from customers.imports.shape import Shape
from customers.imports.targets import IMPORT_SOURCE

SLAB = 1000
_EXTRAS = ("tags", "tags_folded", "attributes", "attributes_folded")
_STANDING = ("customer_id", "channel", "purpose", "granted", "at", "source", "source_folded")


@dataclass(frozen=True)
class Sheet:
    """Rows of a table as COPY takes them, but for one argument in each (`%d`, `%b`; a `%` itself is `%%`), SLAB of them
    in each of `slabs`. `places`: which line of the draft each row is about; None: all lines have one row, in order."""

    table: str
    columns: tuple[str, ...]
    slabs: list[bytes]
    places: list[int] | None = None

    def filled(self, arguments: Sequence[Any], kept: Sequence[int]) -> Iterator[bytes]:
        """The rows with their arguments, slab by slab: each is made when it is asked for. Arguments stand by line, as
        do the flags that say which lines are `kept`."""
        for number, slab in enumerate(self.slabs):
            span = slice(number * SLAB, (number + 1) * SLAB)
            each, flags = self._of_rows(arguments, span), self._of_rows(kept, span)
            if all(flags):
                yield slab % tuple(each)
            else:
                yield b"".join(compress(_rows(slab), flags)) % tuple(compress(each, flags))

    def rows(self) -> list[bytes]:
        return [row for slab in self.slabs for row in _rows(slab)]

    def _of_rows(self, values: Sequence[Any], span: slice) -> Sequence[Any]:
        """Of values by line, those of the rows of a slab."""
        return values[span] if self.places is None else [values[place] for place in self.places[span]]


@dataclass(frozen=True)
class People:
    """What lines say of new customers, side by side: their rows (all of Shape.copied, tags and attributes), identities
    by kind, phones, and consents by channel."""

    rows: Sequence[str]
    keys: Mapping[str, Sequence[str | None]]
    phones: Sequence[str | None]
    consents: Mapping[str, Sequence[bool | None]]


def sheets_of(shape: Shape, people: People, moment: str) -> Iterator[Sheet]:
    """A sheet for each table that holds something about a new customer. The argument is the customer's number; in the
    table of customers, number and household."""
    yield _people(shape, people.rows, moment)
    yield _sheet("activity", ("customer_id",), [""] * len(people.rows), number="%d")
    yield _identities(people.keys)
    yield _addresses(people)
    yield from _consents(people.consents, moment)


def _people(shape: Shape, rows: Sequence[str], moment: str) -> Sheet:
    columns = ("id", "household_id", *shape.copied, *_EXTRAS, "created_at", "updated_at")
    return _sheet("customers", columns, rows, number="%b\t", after=f"\t{moment}\t{moment}")


def _identities(keys: Mapping[str, Sequence[str | None]]) -> Sheet:
    """In the order of their index."""
    rows: list[str] = []
    places: list[int] = []
    for kind, values in sorted(keys.items()):
        column: Sequence[Any] = texts(values)
        ordered = sorted([place for place, value in enumerate(column) if value], key=column.__getitem__)
        rows += [f"{kind}\t{column[place]}\t" for place in ordered]
        places += ordered
    return _sheet("identities", ("kind", "value", "customer_id"), rows, number="", after="%d", places=places)


def _addresses(people: People) -> Sheet:
    """One person's together, as they are read, and as the index of the table grows."""
    columns = {kind: values for kind, values in people.keys.items() if kind != "external_id"} | {"phone": people.phones}
    held = [[value and f"{kind}\t{value}" for value in texts(values)] for kind, values in sorted(columns.items())]
    rows = list(chain.from_iterable(zip(*held, strict=True)))
    each = range(len(people.rows))
    places = list(chain.from_iterable(zip(*[each] * len(held), strict=True)))
    if not all(rows):
        places = list(compress(places, rows))
        rows = list(filter(None, rows))
    return _sheet("contact_addresses", ("customer_id", "kind", "value", "is_primary"), rows, after="\tt", places=places)


def _consents(consents: Mapping[str, Sequence[bool | None]], moment: str) -> Iterator[Sheet]:
    """The ledger, and what stands: of a new customer the same."""
    rows: list[str] = []
    places: list[int] = []
    for channel, words in consents.items():
        said = {word: f"{channel}\t{MARKETING}\t{copied(word)}\t{moment}\t{IMPORT_SOURCE}" for word in (True, False)}
        rows += [said[word] for word in words if word is not None]
        places += [place for place, word in enumerate(words) if word is not None]
    yield _sheet("consents", (*_STANDING[:-1], "recorded_at"), rows, after=f"\t{moment}", places=places)
    yield _sheet("standing_consents", _STANDING, rows, after=f"\t{IMPORT_SOURCE}", places=places)


def _sheet(
    table: str,
    columns: tuple[str, ...],
    rows: Sequence[str],
    *,
    number: str = "%d\t",
    after: str = "",
    places: list[int] | None = None,
) -> Sheet:
    """`rows` with the same before and after each of them."""
    slabs = (rows[start : start + SLAB] for start in range(0, len(rows), SLAB))
    return Sheet(table, columns, [_laid_out(slab, number, after) for slab in slabs], places)


def _laid_out(rows: Sequence[str], number: str, after: str) -> bytes:
    joined = "\n".join(rows)
    if "%" in joined:
        rows = joined.replace("%", "%%").split("\n")
    between = f"{after}\n{number}"
    return f"{number}{between.join(rows)}{after}\n".encode()


def _rows(slab: bytes) -> list[bytes]:
    return slab.splitlines(keepends=True)
