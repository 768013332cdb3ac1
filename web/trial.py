"""What would become of the first rows of an upload, tried on the records as they are; nothing is kept of it."""

from __future__ import annotations

import asyncio
import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from customers.imports.cells import Row
from customers.imports.mapping import FileMapping
from customers.imports.run import Account, Job, Progress, import_file
from customers.imports.source import Source
from customers.imports.units import Refusal
from customers.person import Pair
from customers.values import Context
from runtime.clock import utc_now
from runtime.errors import Invalid, TooLarge
from runtime.house import House
from segments.found import try_lines
from segments.lines import LIST_KIND, Line, plan_of, read_lines
from web.sheet import Sheet

_COUNTED = {"unreadable": "unmatched"}  # what kinds of lines a list counts them as
PATIENCE = 5.0  # seconds: an import under way holds the records for a moment at a time


@dataclass(frozen=True)
class Verdict:
    """What a row comes to. `kind`: matched, new, unmatched, ambiguous, duplicate; of imports: good, bad. `unread`: the
    row itself is at fault."""

    kind: str
    column: str | None = None
    reason: str | None = None
    customer_id: int | None = None
    unread: bool = False


@dataclass(frozen=True)
class Trial:
    """The rows' verdicts by their line. `fault`: why there are none: the mapping does not do."""

    verdicts: Mapping[int, Verdict] = field(default_factory=dict)
    fault: Invalid | None = None
    busy: bool = False

    @property
    def counts(self) -> Counter[str]:
        return Counter(one.kind for one in self.verdicts.values())


async def try_sheet(house: House, sheet: Sheet, folder: Path) -> Trial:
    """The verdicts over the sheet's rows."""
    context = Context(house.settings.zone, house.settings.country)
    try:
        mapping = sheet.checked()
        if sheet.asked.kind == LIST_KIND:
            return Trial(await _list(house, sheet, mapping, context))
        async with asyncio.timeout(PATIENCE):
            return Trial(await _import(house, sheet, mapping, folder))
    except Invalid as error:
        return Trial(fault=error)
    except TooLarge as error:
        return Trial(fault=Invalid(str(error)))
    except TimeoutError:
        return Trial(busy=True)


async def _list(house: House, sheet: Sheet, mapping: FileMapping, context: Context) -> dict[int, Verdict]:
    creating = sheet.asked.creating
    plan = plan_of(mapping, sheet.head.header, context, creating=creating)
    lines = list(read_lines(sheet.head.rows, sheet.head.header, plan, context))
    async with house.database.connect() as conn:
        found = await try_lines(conn, lines)
        await conn.rollback()
    verdicts = {
        one.line: Verdict(
            _COUNTED.get(one.kind, one.kind), one.column, one.reason, one.customer_id, one.kind in _COUNTED
        )
        for one in found
    }
    unknown = {one.line for one in found if one.kind == "unmatched"}
    return verdicts | (_made([line for line in lines if line.number in unknown]) if creating else {})


def _made(lines: Sequence[Line]) -> dict[int, Verdict]:
    """Of lines that nobody is known by: who becomes a customer, and which lines mean one whom an earlier line makes. As
    in the records, a phone says who someone is only where nothing else does."""
    made: dict[Pair, int] = {}
    verdicts: dict[int, Verdict] = {}
    for line in lines:
        if any(kind == "id" for kind, _value in line.signs):
            continue
        sure = [sign for sign in line.signs if sign[0] != "phone"] or line.signs
        first = next((made[sign] for sign in sure if sign in made), None)
        same = f"the same customer as in line {first}"
        verdicts[line.number] = Verdict("new") if first is None else Verdict("duplicate", reason=same)
        for sign in line.signs:
            made.setdefault(sign, first or line.number)
    return verdicts


async def _import(house: House, sheet: Sheet, mapping: FileMapping, folder: Path) -> dict[int, Verdict]:
    """A dry run over the rows that can be read, as a file of their own."""
    rows = [row for row in sheet.head.rows if row.fault is None and row.cells]
    source = Source(folder / "trial.csv", "trial.csv")
    await asyncio.to_thread(_write, source.path, sheet.head.header, rows)
    plain = FileMapping(mapping.kind, mapping.columns, mapping.items, mapping.group_by, "utf-8", ",")
    account = _Refusals()
    job = Job(source, sheet.asked.kind, plain, dry_run=True)
    await import_file(house.database, job, account, settings=house.settings, now=utc_now())
    told = {one.line: one for one in account.refusals}
    verdicts = {
        row.line: Verdict("bad", _named(row.column, sheet), row.fault)
        for row in sheet.head.rows
        if row.fault is not None
    }
    for place, row in enumerate(rows, 2):
        refused = told.get(place)
        verdicts[row.line] = Verdict("bad", refused.column, refused.reason) if refused else Verdict("good")
    return verdicts


class _Refusals(Account):
    def __init__(self) -> None:
        self.refusals: list[Refusal] = []

    async def committed(self, progress: Progress, refusals: Sequence[Refusal]) -> None:
        self.refusals += refusals


def _write(path: Path, header: Sequence[str], rows: Sequence[Row]) -> None:
    """One line a row, whatever its cells hold, so that line numbers tell the rows."""
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(header)
        table.writerows([" ".join(cell.splitlines()) for cell in row.cells] for row in rows)


def _named(column: int | None, sheet: Sheet) -> str | None:
    return None if column is None else sheet.head.header[column]
