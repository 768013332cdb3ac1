"""API tokens as an administrator or the command line makes them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from runtime.errors import Invalid, Problem
from web.access import Role
from web.i18n import _
from web.sessions import create_token
from web.users import check_salesperson


@dataclass(frozen=True)
class TokenForm:
    """`salesperson`: the code whose households a token of the role salesperson sees."""

    name: str
    role: str
    salesperson: str = ""


async def make_token(conn: AsyncConnection, form: TokenForm, now: datetime) -> str:
    """Make a token and return its secret, which is shown this once. Raises Invalid."""
    problems = []
    if not form.name or len(form.name) > 200 or "\0" in form.name:
        problems.append(Problem("name", _("Give the token a name of at most %(count)s characters.", count=200)))
    if form.role not in set(Role):
        problems.append(Problem("role", _("Choose one of the four roles.")))
    if form.role == Role.SALESPERSON and not form.salesperson:
        problems.append(Problem("salesperson", _("Say which salesperson the token speaks for.")))
    if problems:
        raise Invalid(problems)
    await check_salesperson(conn, form.salesperson)
    _token_id, secret = await create_token(conn, form.name, Role(form.role), form.salesperson or None, now)
    return secret
