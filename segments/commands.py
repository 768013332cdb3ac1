"""`hearth segment …`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from runtime.clock import local_date, utc_now
from runtime.errors import Invalid
from runtime.house import House
from runtime.terminal import answer, in_house
from segments import engine
from segments.context import context_at
from segments.ready_made import ReadyMade, said
from segments.ready_made import ready_made as offered


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


commands: list[click.Command] = [segment]


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
