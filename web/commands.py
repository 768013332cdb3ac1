"""`hearth user` and `hearth token`: the first users and tokens, made on the server itself."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import TypeVar

import click
from sqlalchemy.ext.asyncio import AsyncConnection

from runtime.clock import utc_now
from runtime.house import open_house
from runtime.settings import load_settings
from web.access import Role
from web.tokens import TokenForm, make_token
from web.users import UserForm, create_user

Made = TypeVar("Made")

ROLE = click.option("--role", required=True, type=click.Choice([role.value for role in Role]), help="What they may do.")
SALESPERSON = click.option("--salesperson", metavar="CODE", help="The salesperson that they are (role salesperson).")
JSON = click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")


@click.group()
def user() -> None:
    """Users of the console."""


@user.command("create")
@click.argument("email")
@click.option("--name", default="", help="How the console calls them.")
@ROLE
@SALESPERSON
@JSON
def user_create(email: str, name: str, role: str, salesperson: str | None, as_json: bool) -> None:
    """Make a user and print a one-time password, which they change when they first sign in."""
    form = UserForm(email, name, role, salesperson)
    user_id, password = _in_house(lambda conn: create_user(conn, form, utc_now()))
    if as_json:
        click.echo(json.dumps({"id": user_id, "email": email, "role": role, "password": password}, ensure_ascii=False))
    else:
        click.echo(f"{email} may sign in as {role} with the one-time password {password}")


@click.group()
def token() -> None:
    """Tokens for the JSON API."""


@token.command("create")
@click.argument("name")
@ROLE
@SALESPERSON
@JSON
def token_create(name: str, role: str, salesperson: str | None, as_json: bool) -> None:
    """Make a token and print it: alone, and this once."""
    form = TokenForm(name, role, salesperson or "")
    secret = _in_house(lambda conn: make_token(conn, form, utc_now()))
    click.echo(json.dumps({"name": name, "role": role, "token": secret}, ensure_ascii=False) if as_json else secret)


commands: list[click.Command] = [user, token]


def _in_house(act: Callable[[AsyncConnection], Awaitable[Made]]) -> Made:
    """Do one thing in one transaction of this installation's database."""

    async def run() -> Made:
        async with open_house(load_settings()) as house, house.database.begin() as conn:
            return await act(conn)

    return asyncio.run(run())
