"""Who may do what: roles, the person or token behind a request, and the guard in front of every endpoint."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum

from starlette.requests import Request
from starlette.responses import Response

from runtime.house import House

Endpoint = Callable[[Request], Awaitable[Response]]

KIB = 1024
MIB = 1024 * KIB
FORM_LIMIT = 1 * MIB


class Role(StrEnum):
    ADMIN = "admin"
    MARKETER = "marketer"
    ANALYST = "analyst"
    SALESPERSON = "salesperson"


class Public(frozenset[Role]):
    """Anybody, signed in or not."""


class Recipients(Public):
    """Anybody, and what is shown is for customers, who know of no console."""


PUBLIC = Public()
RECIPIENTS = Recipients()
SIGNED_IN = frozenset(Role)
ADMINS = frozenset({Role.ADMIN})
MARKETERS = frozenset({Role.ADMIN, Role.MARKETER})
KEEPERS = frozenset({Role.ADMIN, Role.MARKETER, Role.SALESPERSON})  # who may note what a customer said
READERS = frozenset({Role.ADMIN, Role.MARKETER, Role.ANALYST})


@dataclass(frozen=True)
class Viewer:
    """The person (or API token) behind a request. `salesperson`: the code of the salesperson that they are, if any."""

    name: str
    email: str
    role: Role
    salesperson: str | None = None
    language: str | None = None
    user_id: int | None = None
    token_id: int | None = None
    must_change_password: bool = False

    @property
    def own_only(self) -> bool:
        """Sees only the households of `salesperson` (nobody's, when no salesperson is linked)."""
        return self.role is Role.SALESPERSON

    def may(self, allow: frozenset[Role]) -> bool:
        return isinstance(allow, Public) or self.role in allow


@dataclass(frozen=True)
class Route:
    """A row of the route table.

    `allow`: PUBLIC, RECIPIENTS, SIGNED_IN, READERS, MARKETERS, ADMINS. `csrf=False` only where no cookie speaks for the
    caller (API tokens, one-click unsubscribe, provider callbacks). `limit`: the largest body in bytes.
    """

    path: str
    endpoint: Endpoint
    name: str
    allow: frozenset[Role]
    methods: tuple[str, ...] = ("GET",)
    csrf: bool = True
    limit: int = FORM_LIMIT

    @property
    def api(self) -> bool:
        return self.path.startswith("/api/")

    @property
    def changes(self) -> bool:
        return bool(set(self.methods) - {"GET", "HEAD"})


def house_of(request: Request) -> House:
    """The process's context: settings, database, signer."""
    house: House = request.app.state.house
    return house


def viewer_of(request: Request) -> Viewer:
    """Who asks; only for routes that are not PUBLIC."""
    viewer = found_viewer(request)
    assert viewer is not None, "a public route has no viewer"
    return viewer


def found_viewer(request: Request) -> Viewer | None:
    """Who asks, or None when nobody is signed in."""
    viewer: Viewer | None = getattr(request.state, "viewer", None)
    return viewer
