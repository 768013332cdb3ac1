"""Passwords: argon2 hashes made and checked off the event loop, a few at a time, and the rule for new ones."""

from __future__ import annotations

import secrets
from functools import cache

import anyio
import anyio.to_thread
from anyio.lowlevel import RunVar
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from runtime.errors import Invalid, Problem
from web.i18n import _

SHORTEST, LONGEST = 10, 200

_hasher = PasswordHasher()  # argon2id; each run takes 64 MiB, hence the limit below
_at_once: RunVar[anyio.CapacityLimiter] = RunVar("passwords_at_once")  # one a loop


async def hash_password(password: str) -> str:
    return await anyio.to_thread.run_sync(_hasher.hash, password, limiter=_limiter())


async def password_matches(password: str, password_hash: str | None) -> bool:
    """Whether it is the password; takes as long when there is no such user (`password_hash` None)."""
    return await anyio.to_thread.run_sync(_matches, password, password_hash or _nobody(), limiter=_limiter())


def one_time_password() -> str:
    """For a new user, who must change it at the first login."""
    return secrets.token_urlsafe(12)


def check_new_password(password: str, email: str) -> None:
    """Raises Invalid for one that is too short, too long or the e-mail address itself."""
    if len(password) < SHORTEST:
        raise Invalid(Problem("password", _("Use at least %(count)s characters.", count=SHORTEST)))
    if len(password) > LONGEST or "\0" in password:
        raise Invalid(Problem("password", _("Use at most %(count)s characters.", count=LONGEST)))
    if password.casefold() in {email.casefold(), email.partition("@")[0].casefold()} or len(set(password)) < 4:
        raise Invalid(Problem("password", _("This is too easy to guess.")))


def _matches(password: str, password_hash: str) -> bool:
    try:
        return len(password) <= LONGEST and _hasher.verify(password_hash, password)
    except (VerificationError, InvalidHashError):
        return False


@cache
def _nobody() -> str:
    return _hasher.hash(secrets.token_urlsafe(16))


def _limiter() -> anyio.CapacityLimiter:
    try:
        return _at_once.get()
    except LookupError:
        _at_once.set(anyio.CapacityLimiter(2))
        return _at_once.get()
