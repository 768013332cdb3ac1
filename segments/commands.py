"""`hearth segment …`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from runtime.clock import local_date, utc_now
from runtime.errors import Invalid
from runtime.house import House
from runtime.terminal import answer, in_house
from segments import engine
from segments.context import context_at
from segments.models import segments
from segments.ready_made import ReadyMade, said
from segments.ready_made import ready_made as offered
from segments.standing import Evaluated, evaluate
from segments.store import Segment, segment_of, segment_rows
from segments.store import segment as kept_segment


@click.group()
def segment() -> None:
    """Segments: who belongs."""


@segment.command("count")
@click.argument("rule", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="RULE.json")
def count(rule: Path) -> None:
    """Count the customers that the rule in the file describes."""
    given = read_rule(rule)

    async def counted(house: House) -> int:
        async with house.database.connect() as conn:
            return await engine.count(conn, given, context_at(utc_now(), house.settings))

    number = in_house(counted)
    answer({"count": number}, str(number))


@segment.command("ready-made")
def ready_made() -> None:
    """List the ready-made segments of the trade; with --json also their rules."""

    async def found(house: House) -> list[ReadyMade]:
        async with house.database.connect() as conn:
            return await offered(conn, local_date(utc_now(), house.settings.timezone))

    listed = in_house(found)
    lines = [f"{_called(one):<48} {said(one.name, 'en')}" for one in listed]
    answer({"items": [_told(one) for one in listed]}, "\n".join(lines))


@segment.command("refresh")
@click.argument("segment_id", metavar="[ID]", type=int, required=False)
@click.option("--full", is_flag=True, help="Look at every customer, not at those alone who can have changed.")
def refresh(segment_id: int | None, full: bool) -> None:
    """Evaluate a segment now, or all of them: who belongs, who entered, who left."""

    async def refreshed(house: House) -> list[tuple[Segment, Evaluated]]:
        async with house.database.connect() as conn:
            if segment_id is None:
                listed = [segment_of(row) for row in await conn.execute(segment_rows().order_by(segments.c.id))]
            else:
                listed = [await kept_segment(conn, segment_id)]
        done = []
        for one in listed:
            async with house.database.begin() as conn:
                found = await evaluate(conn, one.id, context_at(utc_now(), house.settings), full=full)
            done += [(one, found)] if found else []
        return done

    done = in_house(refreshed)
    document = [{"id": one.id, "name": one.name, **asdict(found)} for one, found in done]
    answer({"items": document}, "\n".join(_moved(one, found) for one, found in done) or "there are no segments")


commands: list[click.Command] = [segment]


def _moved(one: Segment, found: Evaluated) -> str:
    looked = "everyone" if found.looked_at is None else f"{found.looked_at:,}"
    moves = "first evaluation" if found.number == 1 else f"{found.entered:,} entered, {found.left:,} left"
    return f"{one.id} {one.name}: {found.size:,} members; {moves} (looked at {looked})"


def _called(one: ReadyMade) -> str:
    return " ".join([one.code, *(f"{name}={value}" for name, value in one.parameters.items())])


def _told(one: ReadyMade) -> dict[str, Any]:
    words = {name: said(getattr(one, name), "en") for name in ("name", "description", "advice")}
    plain = {name: getattr(one, name) for name in ("code", "intention", "parameters", "rule", "segment_id")}
    return {**plain, **words}


def read_rule(path: Path) -> Any:
    """The JSON in a file. Raises Invalid naming the line that is none."""
    try:
        return json.loads(path.read_bytes())
    except UnicodeDecodeError:
        raise Invalid(f"{path}: is not UTF-8 text") from None
    except json.JSONDecodeError as error:
        raise Invalid(f"{path}, line {error.lineno}, column {error.colno}: {error.msg}") from None
    except RecursionError:
        raise Invalid(f"{path}: nests too deeply") from None
