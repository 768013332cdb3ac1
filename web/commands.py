"""`hearth user` and `hearth token`: the first users and tokens, made on the server itself."""

from __future__ import annotations

import click

from runtime.clock import utc_now
from runtime.house import House
from runtime.terminal import answer, in_house
from web.access import Role
from web.tokens import TokenForm, make_token
from web.users import UserForm, create_user

ROLE = click.option("--role", required=True, type=click.Choice([role.value for role in Role]), help="What they may do.")
SALESPERSON = click.option("--salesperson", metavar="CODE", help="The salesperson that they are (role salesperson).")


@click.group()
def user() -> None:
    """Users of the console."""


@user.command("create")
@click.argument("email")
@click.option("--name", default="", help="How the console calls them.")
@ROLE
@SALESPERSON
def user_create(email: str, name: str, role: str, salesperson: str | None) -> None:
    """Make a user and print a one-time password, which they change when they first sign in."""
    form = UserForm(email, name, role, salesperson)

    async def create(house: House) -> tuple[int, str]:
        async with house.database.begin() as conn:
            return await create_user(conn, form, utc_now())

    user_id, password = in_house(create)
    document = {"id": user_id, "email": email, "role": role, "password": password}
    answer(document, f"{email} may sign in as {role} with the one-time password {password}")


@click.group()
def token() -> None:
    """Tokens for the JSON API."""


@token.command("create")
@click.argument("name")
@ROLE
@SALESPERSON
def token_create(name: str, role: str, salesperson: str | None) -> None:
    """Make a token and print it: alone, and this once."""
    form = TokenForm(name, role, salesperson or "")

    async def create(house: House) -> str:
        async with house.database.begin() as conn:
            return await make_token(conn, form, utc_now())

    secret = in_house(create)
    answer({"name": name, "role": role, "token": secret}, secret)


commands: list[click.Command] = [user, token]
