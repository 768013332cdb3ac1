"""`matches`: patterns are PostgreSQL's to read, and run under a statement timeout."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from sqlalchemy import Text, func, literal, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from runtime.errors import Invalid, Problem
from segments.tree import FieldTest, Rule, tests

SECONDS = 10
_BAD_PATTERN = "2201B"
_CANCELLED = "57014"


def patterns(rules: Iterable[Rule]) -> list[FieldTest]:
    """The tests of `rules` that hold a pattern."""
    return [test for rule in rules for test in tests(rule) if test.op == "matches"]


async def check_patterns(conn: AsyncConnection, found: Iterable[FieldTest]) -> None:
    """Let PostgreSQL read each pattern. Raises Invalid with its words for those that are none."""
    problems = []
    for test in found:
        try:
            async with time_limit(conn):
                await conn.execute(select(literal("", Text).regexp_match(literal(test.operand, Text))))
        except Invalid as invalid:
            problems.append(Problem(f"{test.path}.value" if test.path else "value", str(invalid)))
    if problems:
        raise Invalid(problems)


@asynccontextmanager
async def time_limit(conn: AsyncConnection, seconds: float = SECONDS) -> AsyncIterator[None]:
    """Statements within take at most `seconds` each, else Invalid is raised; the transaction survives it."""
    before = await conn.scalar(select(func.current_setting("statement_timeout")))
    try:
        async with conn.begin_nested():
            await _set_timeout(conn, f"{int(seconds * 1000)}ms")
            yield
            await _set_timeout(conn, str(before))
    except DBAPIError as error:
        state = getattr(error.orig, "sqlstate", None)
        if state == _BAD_PATTERN:
            raise Invalid(str(error.orig).strip().splitlines()[0]) from None
        if state == _CANCELLED:
            raise Invalid(f"a pattern of this rule takes longer than {seconds:g} s: make it simpler") from None
        raise


async def _set_timeout(conn: AsyncConnection, value: str) -> None:
    await conn.execute(select(func.set_config("statement_timeout", value, True)))
