"""Users: made by an administrator with a one-time password, changed, deactivated, deleted; an administrator always
remains.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.models import salespeople
from runtime.errors import Conflict, Invalid, NotFound, Problem
from runtime.text import fold
from web.access import Role
from web.i18n import LANGUAGES, _
from web.models import users
from web.passwords import hash_password, one_time_password
from web.sessions import close_all_sessions


@dataclass(frozen=True)
class UserForm:
    """What an administrator says of a user; `salesperson` is a code, needed by the role salesperson."""

    email: str
    name: str
    role: str
    salesperson: str | None = None

    def checked(self) -> UserForm:
        """Raises Invalid listing each field that is wrong."""
        problems = [problem for problem in (_email_problem(self.email), _role_problem(self.role)) if problem]
        if len(self.name) > 200 or "\0" in self.name:
            problems.append(Problem("name", _("Use at most %(count)s characters.", count=200)))
        if self.role == Role.SALESPERSON and not self.salesperson:
            problems.append(Problem("salesperson", _("Say which salesperson this user is.")))
        if problems:
            raise Invalid(problems)
        return self


async def create_user(conn: AsyncConnection, form: UserForm, now: datetime) -> tuple[int, str]:
    """Make a user; returns the id and the one-time password, which is nowhere else. Raises Invalid, Conflict."""
    form = form.checked()
    await check_salesperson(conn, form.salesperson)
    password = one_time_password()
    values = {
        "email": form.email,
        "email_folded": fold(form.email),
        "name": form.name or form.email.partition("@")[0],
        "password_hash": await hash_password(password),
        "role": form.role,
        "salesperson": form.salesperson or None,
        "must_change_password": True,
        "created_at": now,
    }
    made = await conn.execute(
        insert(users).values(values).on_conflict_do_nothing(index_elements=["email_folded"]).returning(users.c.id)
    )
    user_id = made.scalar_one_or_none()
    if user_id is None:
        raise Conflict(_("There is already a user with the address %(email)s.", email=form.email))
    return user_id, password


async def change_user(conn: AsyncConnection, user_id: int, form: UserForm) -> None:
    """Change name, role and salesperson; a changed role ends all sessions. Raises Invalid, Conflict, NotFound."""
    form = form.checked()
    await check_salesperson(conn, form.salesperson)
    found = await find_user(conn, user_id)
    if form.role != Role.ADMIN:
        await _keep_an_admin(conn, user_id)
    values = {"name": form.name or found.name, "role": form.role, "salesperson": form.salesperson or None}
    await conn.execute(update(users).where(users.c.id == user_id).values(values))
    if (found.role, found.salesperson) != (values["role"], values["salesperson"]):
        await close_all_sessions(conn, user_id)


async def set_active(conn: AsyncConnection, user_id: int, active: bool) -> None:
    """Let a user in again, or keep them out at once. Raises Conflict for the last administrator."""
    await find_user(conn, user_id)
    if not active:
        await _keep_an_admin(conn, user_id)
        await close_all_sessions(conn, user_id)
    await conn.execute(update(users).where(users.c.id == user_id).values(active=active))


async def give_one_time_password(conn: AsyncConnection, user_id: int) -> str:
    """A new one-time password for somebody who lost theirs; ends their sessions."""
    await find_user(conn, user_id)
    password = one_time_password()
    await set_password(conn, user_id, await hash_password(password), must_change=True)
    return password


async def set_password(conn: AsyncConnection, user_id: int, password_hash: str, *, must_change: bool = False) -> None:
    """Store a new hash and end every session of the user."""
    values = {"password_hash": password_hash, "must_change_password": must_change}
    await conn.execute(update(users).where(users.c.id == user_id).values(values))
    await close_all_sessions(conn, user_id)


async def replace_password(conn: AsyncConnection, user_id: int, old_hash: str, new_hash: str) -> None:
    """Swap the hash if it is still `old_hash`: of two at once, one wins. Ends every session. Raises Conflict."""
    values = {"password_hash": new_hash, "must_change_password": False}
    changed = await conn.execute(
        update(users).where(users.c.id == user_id, users.c.password_hash == old_hash).values(values)
    )
    if changed.rowcount != 1:
        raise Conflict(_("The password was changed meanwhile; sign in with the new one."))
    await close_all_sessions(conn, user_id)


async def set_language(conn: AsyncConnection, user_id: int, language: str) -> None:
    if language in LANGUAGES:
        await conn.execute(update(users).where(users.c.id == user_id).values(language=language))


async def delete_user(conn: AsyncConnection, user_id: int) -> None:
    """Raises Conflict for the last administrator, NotFound."""
    await find_user(conn, user_id)
    await _keep_an_admin(conn, user_id)
    await conn.execute(delete(users).where(users.c.id == user_id))


async def find_user(conn: AsyncConnection, user_id: int) -> Row[Any]:
    row = (await conn.execute(select(users).where(users.c.id == user_id))).one_or_none()
    if row is None:
        raise NotFound(_("There is no such user."))
    return row


async def user_by_email(conn: AsyncConnection, email: str) -> Row[Any] | None:
    """The active user with that address, however it is written."""
    found = await conn.execute(select(users).where(users.c.email_folded == fold(email.strip()), users.c.active))
    return found.one_or_none()


async def any_user(conn: AsyncConnection) -> bool:
    return bool((await conn.execute(select(select(users.c.id).exists()))).scalar_one())


async def salesperson_choices(conn: AsyncConnection) -> Mapping[str, str]:
    """Codes and names, for the form that links a user to a salesperson."""
    found = await conn.execute(select(salespeople.c.code, salespeople.c.name).order_by(salespeople.c.code))
    return {row.code: row.name or row.code for row in found}


async def _keep_an_admin(conn: AsyncConnection, user_id: int) -> None:
    """Refuse what would leave no active administrator; the rows are locked so that two cannot do it at once."""
    admins = await conn.execute(
        select(users.c.id)
        .where(users.c.role == Role.ADMIN.value, users.c.active)
        .order_by(users.c.id)
        .with_for_update()
    )
    if set(admins.scalars()) == {user_id}:
        raise Conflict(_("This is the last administrator; make another one first."))


async def check_salesperson(conn: AsyncConnection, code: str | None) -> None:
    """Raises Invalid for a code that no salesperson has."""
    if not code:
        return
    known = await conn.execute(select(func.count()).select_from(salespeople).where(salespeople.c.code == code))
    if not known.scalar_one():
        raise Invalid(Problem("salesperson", _("There is no salesperson with the code %(code)s.", code=code)))


def _email_problem(email: str) -> Problem | None:
    name, at, host = email.rpartition("@")
    bad = (
        not at
        or not name
        or "." not in f"{host}."
        or len(email) > 254
        or any(sign.isspace() or ord(sign) < 32 for sign in email)
    )
    return Problem("email", _("This is not an e-mail address.")) if bad or not host else None


def _role_problem(role: str) -> Problem | None:
    return None if role in set(Role) else Problem("role", _("Choose one of the four roles."))
