"""What every command shares: `--json`, an open house, and errors as one clear line.

@click.command()
@click.argument("email")
def create(email: str) -> None:
    "Create a user and print a one-time password."
    password = in_house(lambda house: …)
    answer({"email": email, "password": password}, f"{email}: {password}")
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import date
from typing import Any, TypeVar

import click

from runtime.errors import HearthError, Invalid
from runtime.house import House, open_house
from runtime.settings import load_settings

T = TypeVar("T")

_JSON = "runtime.terminal.json"


def in_house(work: Callable[[House], Awaitable[T]]) -> T:
    """Run `work` in an open house, as the settings say."""

    async def opened() -> T:
        async with open_house(load_settings()) as house:
            return await work(house)

    return asyncio.run(opened())


def answer(document: Any, text: str) -> None:
    """What a command found: the JSON document with `--json`, else the text (one or more lines)."""
    click.echo(json.dumps(document, ensure_ascii=False, default=_plain) if wants_json() else text)


def wants_json() -> bool:
    return bool(click.get_current_context().meta.get(_JSON))


def join(group: click.Group, commands: Iterable[click.Command]) -> None:
    """Add commands to `group`, each with `--json`; groups of one name (`db`, from several rooms) become one."""
    for command in commands:
        present = group.commands.get(command.name or "")
        if isinstance(command, click.Group):
            merged = present if isinstance(present, click.Group) else click.Group(command.name, help=command.help)
            join(merged, command.commands.values())
            group.add_command(merged)
        else:
            _add_json(command)
            group.add_command(command)


def run(group: click.Group, arguments: Sequence[str], name: str) -> int:
    """The exit status: 0, 1 failed, 2 misused. An error is a line on stderr, or with `--json` a document on stdout."""
    as_json = "--json" in arguments
    try:
        result = group.main(list(arguments), prog_name=name, standalone_mode=False)
        return result if isinstance(result, int) else 0
    except click.ClickException as error:
        return _refuse(error.format_message(), [], as_json, error.exit_code, error)
    except Invalid as error:
        problems = [{"path": problem.path, "message": problem.message} for problem in error.problems]
        return _refuse(str(error), problems, as_json, 1)
    except HearthError as error:
        return _refuse(str(error), [], as_json, 1)
    except (click.Abort, KeyboardInterrupt):
        return _refuse("stopped", [], as_json, 1)


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, date) else str(value)


def _add_json(command: click.Command) -> None:
    if any(parameter.name == "as_json" for parameter in command.params):
        return
    option = click.Option(
        ["--json", "as_json"], is_flag=True, expose_value=False, callback=_note_json, is_eager=True,
        help="One JSON document on stdout, nothing else there.",
    )  # fmt: skip
    command.params.append(option)


def _note_json(context: click.Context, _option: click.Parameter, value: bool) -> None:
    if value:
        context.meta[_JSON] = True


def _refuse(
    text: str, problems: list[dict[str, str]], as_json: bool, status: int, misuse: click.ClickException | None = None
) -> int:
    if as_json:
        click.echo(json.dumps({"error": text, "errors": problems}, ensure_ascii=False))
    elif isinstance(misuse, click.UsageError):
        misuse.show(sys.stderr)
    else:
        click.echo(f"hearth: {' '.join(text.split())}", err=True)
    return status
