"""Suppression lists as files: addresses and domains with reason, expiry and a note, as another system gave them out."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.addresses import read_address, read_email
from customers.bulk import pairs_among
from customers.models import suppressed_addresses
from customers.moments import read_instant
from customers.suppressions import DOMAIN, SuppressedAddress, in_force, suppress_addresses
from customers.values import Context
from runtime.errors import Invalid, Problem
from runtime.text import printable

MANUAL = "manual"
REASONS = ("manual", "bounced", "complained", "unsubscribed")
COLUMNS = ("kind", "value", "reason", "expires_at", "note")
MOST = 100_000
_AT_ONCE = 10_000  # whoever else the process serves does not wait for all
_LONGEST_NOTE = 500
_ALIASES = {"address": "value", "email": "value", "domain": "value", "until": "expires_at", "detail": "note"}


@dataclass(frozen=True)
class Fault:
    """A line that says nothing that could be suppressed: its number in the file, and why."""

    line: int
    reason: str


def plain_value(kind: str, value: str, kinds: Collection[str], context: Context) -> str:
    """The plain form of an address of one of `kinds`, or (DOMAIN) of a domain. Raises Invalid naming the field."""
    known = [*kinds, DOMAIN]
    if kind not in known:
        raise Invalid(Problem("kind", f"unknown kind of address {kind!r}; there are: {', '.join(known)}"))
    try:
        found = _domain(value, context) if kind == DOMAIN else read_address(kind, value, context)
    except ValueError as error:
        raise Invalid(Problem("value", str(error))) from None
    if not found:
        raise Invalid(Problem("value", "is missing"))
    return found


def read_list(
    text: str, kinds: Collection[str], context: Context, now: datetime
) -> tuple[list[SuppressedAddress], list[Fault]]:
    """The entries of a file, and its faulty lines. A first line that names COLUMNS is a header; without one the first
    cell of a line counts: with `@` an address, else a domain. Raises Invalid for more than MOST lines."""
    entries: list[SuppressedAddress] = []
    faults: list[Fault] = []
    for line, cells in _lines(text):
        try:
            entries.append(_entry(cells, kinds, context, now))
        except Invalid as error:
            faults.append(Fault(line, "; ".join(problem.message for problem in error.problems)))
        except ValueError as error:
            faults.append(Fault(line, str(error)))
    return entries, faults


async def add_list(conn: AsyncConnection, entries: Sequence[SuppressedAddress], now: datetime) -> int:
    """Suppress those that are not suppressed already, which stay as they are; how many that were."""
    by_key = {(entry.kind, entry.value): entry for entry in entries}
    keys, added = sorted(by_key), 0
    for start in range(0, len(keys), _AT_ONCE):
        part = keys[start : start + _AT_ONCE]
        known = await _in_force(conn, part, now)
        new = [by_key[key] for key in part if key not in known]
        if new:
            await suppress_addresses(conn, new)
        added += len(new)
    return added


async def _in_force(conn: AsyncConnection, keys: Sequence[tuple[str, str]], now: datetime) -> set[tuple[str, str]]:
    row = suppressed_addresses.c
    standing = select(row.kind, row.value).where(
        pairs_among(row.kind, row.value, keys), in_force(suppressed_addresses, now)
    )
    return {(kind, value) for kind, value in await conn.execute(standing)}


def _lines(text: str) -> Iterator[tuple[int, dict[str, str]]]:
    reader = csv.reader(io.StringIO(printable(text.removeprefix("\ufeff"))))
    names: Sequence[str] | None = None
    for number, cells in enumerate(_rows(reader), 1):
        if number > MOST:
            raise Invalid(Problem("file", f"has more than {MOST} lines; divide it"))
        if not any(cell.strip() for cell in cells):
            continue
        if names is None:
            read = [_ALIASES.get(cell.strip().lower(), cell.strip().lower()) for cell in cells]
            names = read if "value" in read else ("value",)
            if "value" in read:
                continue
        yield number, {name: cell.strip() for name, cell in zip(names, cells, strict=False)}


def _rows(reader: Iterator[list[str]]) -> Iterator[list[str]]:
    try:
        yield from reader
    except csv.Error:  # a quotation mark that is never closed makes one cell of all that follows
        raise Invalid(
            Problem("file", "has a cell of more than a million characters; look for a stray quotation mark")
        ) from None


def _entry(cells: dict[str, str], kinds: Collection[str], context: Context, now: datetime) -> SuppressedAddress:
    value = cells.get("value", "").removeprefix("'")  # as our own export neutralised it
    kind = cells.get("kind") or ("email" if "@" in value.lstrip("@") else DOMAIN)
    reason = cells.get("reason") or MANUAL
    if reason not in REASONS:
        raise Invalid(Problem("reason", f"unknown reason {reason[:40]!r}; there are: {', '.join(REASONS)}"))
    expires = read_instant(cells.get("expires_at") or None, context)
    if expires is not None and expires <= now:
        raise Invalid(Problem("expires_at", "is over already"))
    note = " ".join(cells.get("note", "").split())[:_LONGEST_NOTE] or None
    return SuppressedAddress(kind, plain_value(kind, value, kinds, context), reason, now, expires, note)


def _domain(value: str, context: Context) -> str:
    """A domain as addresses end in it; `@` before it is fine."""
    whole = value.strip().removeprefix("@").removesuffix(".")
    found = read_email(f"someone@{whole}", context) if whole else None
    return "" if found is None else found.rpartition("@")[2]
