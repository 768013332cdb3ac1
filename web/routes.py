"""The one table of all routes: what each module of `web/pages` and `web/api` contributes, behind the guard."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from types import ModuleType

from starlette.convertors import IntegerConvertor, register_url_convertor
from starlette.routing import Route as StarletteRoute

import web.api
import web.pages
from web.access import Route
from web.guard import Guarded


class IdConvertor(IntegerConvertor):
    """`{id:int}`: no id has more digits (and Python refuses to read thousands of them)."""

    regex = "[0-9]{1,19}"


register_url_convertor("int", IdConvertor())


@cache
def table() -> tuple[Route, ...]:
    """Every route of the console, the public pages, the callbacks and the API, in the order of their modules' names."""
    return tuple(route for module in _topics() for route in module.ROUTES)


@cache
def by_name() -> Mapping[str, Route]:
    return {route.name: route for route in table()}


def starlette_routes() -> list[StarletteRoute]:
    return [
        StarletteRoute(route.path, Guarded(route), methods=list(route.methods), name=route.name) for route in table()
    ]


def _topics() -> list[ModuleType]:
    found: list[ModuleType] = []
    for package in (web.pages, web.api):
        names = sorted(info.name for info in pkgutil.iter_modules(package.__path__))
        modules = [importlib.import_module(f"{package.__name__}.{name}") for name in names]
        found += [module for module in modules if hasattr(module, "ROUTES")]
    return found
