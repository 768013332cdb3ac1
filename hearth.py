"""The `hearth` command, and the one place that knows every room."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

ROOMS = ("runtime", "customers", "segments", "channels", "tracking", "campaigns", "sales", "web")


def install() -> None:
    """Make every room's tables, sources, channels and jobs known; once in every process, and in the tests."""
    load_models()
    for module in _modules("install"):
        module.install()


def load_models() -> None:
    """Declare every room's tables on `runtime.database.metadata`."""
    for _ in _modules("models"):
        pass


def _modules(name: str) -> Iterator[ModuleType]:
    """The module `name` of each room that has one, in the order of the rooms."""
    for room in ROOMS:
        if find_spec(f"{room}.{name}") is not None:
            yield import_module(f"{room}.{name}")
