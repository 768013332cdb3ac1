"""What every template keeps to, read from its source."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from web import nav
from web.assets import FILES, VENDOR
from web.routes import by_name, table

ROOT = Path(__file__).parents[2]
TEMPLATES = sorted((ROOT / "web" / "templates").rglob("*.html"))
MAIL_FRAMES = {"campaigns/frame.html"}  # shown by `mail_frame`: sandboxed, an origin of its own, no script
SCRIPTS = sorted(path for path in (ROOT / "web" / "static").rglob("*.js") if path.parent.name != "vendor")


def uncommented(path: Path) -> str:
    return re.sub(r"{#.*?#}", "", path.read_text(encoding="utf-8"), flags=re.S)


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_template_keeps_to_the_content_security_policy(path: Path) -> None:
    source = uncommented(path)
    assert not re.search(r"<script(?![^>]*\bsrc=)", source), "inline script"
    assert not re.search(r"<style\b", source), "style element"
    assert not re.search(r"<[^>]*\son\w+\s*=", source), "event attribute"
    assert not re.search(r"\bsrcdoc\b|javascript:", source)
    assert not re.search(r"(src|href)=\"(https?:)?//", source), "something from another host"


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_nothing_is_marked_as_safe(path: Path) -> None:
    if f"{path.parent.name}/{path.name}" in MAIL_FRAMES:
        return
    assert not re.search(r"\|\s*safe\b|autoescape\s+false", uncommented(path))


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_posting_form_carries_the_csrf_token(path: Path) -> None:
    if path.parent.name == "public":
        return  # one-click pages: the token in the address speaks, no cookie does
    for form in re.findall(r"<form\b[^>]*method=\"post\".*?</form>", uncommented(path), flags=re.S):
        assert re.search(r"\bcsrf\(\)", form), form


def test_every_icon_exists() -> None:
    known = json.loads((VENDOR / "icons.json").read_bytes())
    used = {name for path in TEMPLATES for name in re.findall(r"\bicon\(\"([\w-]+)\"", uncommented(path))}
    used |= {name for path in TEMPLATES for name in re.findall(r"empty_state\(\"([\w-]+)\"", uncommented(path))}
    used |= {item.icon for section in nav.SECTIONS for item in section.items}
    assert used - set(known) == set()


def test_every_route_that_is_named_exists() -> None:
    for path in TEMPLATES:
        for name in re.findall(r"\burl\([\"']([\w.]+)[\"']", uncommented(path)):
            assert name in by_name(), (path.name, name)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_a_script_runs_no_text(path: Path) -> None:
    assert not re.search(
        r"document\.write|\beval\(|new Function|setAttribute\(\s*[\"']on", path.read_text(encoding="utf-8")
    )


def test_the_lock_file_names_no_registry() -> None:
    lock = (ROOT / "package-lock.json").read_text()
    assert '"resolved"' not in lock
    packages = json.loads(lock)["packages"]
    assert all("integrity" in package for name, package in packages.items() if name)


def test_the_assets_are_there() -> None:
    assert [name for name in FILES.values() if not (VENDOR / name).is_file()] == []


def test_paths_do_not_hide_each_other() -> None:
    """A fixed path comes before a pattern that would swallow it."""
    seen: list[tuple[re.Pattern[str], frozenset[str], str]] = []
    for route in table():
        fixed = "{" not in route.path
        for pattern, methods, name in seen:
            hidden = fixed and pattern.fullmatch(route.path) and methods & set(route.methods)
            assert not hidden, f"{name} hides {route.name}"
        pattern = re.sub(r"{\w+:int}", "[0-9]+", re.sub(r"{\w+:path}", ".*", route.path))
        seen.append((re.compile(re.sub(r"{\w+}", "[^/]+", pattern)), frozenset(route.methods), route.name))
