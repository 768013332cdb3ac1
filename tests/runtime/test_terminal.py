"""Commands: one clear line or one JSON document, and the exit status that scripts rely on."""

from __future__ import annotations

import json
from collections.abc import Iterator

import click
import pytest

import hearth
from runtime import terminal
from runtime.errors import Conflict, Invalid, Problem
from runtime.terminal import answer


@click.command()
@click.argument("word")
def echo(word: str) -> None:
    """Say it again."""
    answer({"word": word}, f"you said {word}")


@click.command()
@click.argument("kind")
def fail(kind: str) -> None:
    """Fail."""
    if kind == "conflict":
        raise Conflict("it is\nrunning already")
    raise Invalid([Problem("items[2].email", "is not an address"), Problem("name", "is missing")])


def group() -> click.Group:
    made = click.Group("test")
    terminal.join(made, [echo, click.Group("db", commands=[fail], help="The database.")])
    terminal.join(made, [click.Group("db", commands=[echo])])
    return made


CASES = [
    (["echo", "hi"], 0, "you said hi\n", ""),
    (["db", "echo", "hi"], 0, "you said hi\n", ""),
    (["db", "fail", "conflict"], 1, "", "hearth: it is running already\n"),
    (["db", "fail", "x"], 1, "", "hearth: items[2].email: is not an address; name: is missing\n"),
]
JSON_CASES = [
    (["echo", "hi", "--json"], 0, {"word": "hi"}),
    (["echo", "--json", "冰箱"], 0, {"word": "冰箱"}),
    (["db", "fail", "conflict", "--json"], 1, {"error": "it is\nrunning already", "errors": []}),
    (["echo", "--json"], 2, {"error": "Missing argument 'WORD'.", "errors": []}),
    (["none", "--json"], 2, None),
]


@pytest.mark.parametrize(("arguments", "status", "out", "err"), CASES)
def test_text(arguments: list[str], status: int, out: str, err: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert terminal.run(group(), arguments, "test") == status
    assert capsys.readouterr() == (out, err)


@pytest.mark.parametrize(("arguments", "status", "document"), JSON_CASES)
def test_json(
    arguments: list[str], status: int, document: dict[str, object] | None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert terminal.run(group(), arguments, "test") == status
    out, err = capsys.readouterr()
    assert err == ""
    assert document is None or json.loads(out) == document
    assert document is not None or "error" in json.loads(out)


def test_misuse_says_how(capsys: pytest.CaptureFixture[str]) -> None:
    assert terminal.run(group(), ["echo"], "test") == 2
    assert "Usage: test echo [OPTIONS] WORD" in capsys.readouterr().err


def leaves(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from leaves(inner, f"{path} {name}")
    else:
        yield path, command


COMMANDS = dict(leaves(hearth.command_line(), "hearth"))


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_has_help_and_json(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert terminal.run(hearth.command_line(), [*path.split()[1:], "--help"], "hearth") == 0
    out = capsys.readouterr().out
    assert f"Usage: {path}" in out
    assert "--json" in out
    assert COMMANDS[path].help


def test_the_processes_are_there() -> None:
    assert {f"hearth {name}" for name in ("up", "web", "worker", "scheduler", "db upgrade", "db check")} <= set(
        COMMANDS
    )
