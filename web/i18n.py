"""Languages: catalogues compiled from `web/locale/*/LC_MESSAGES/hearth.po`, the language of a request, `_()` and
`ngettext()`.
"""

from __future__ import annotations

import gettext as stdlib
import io
from collections.abc import Iterable
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Any

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

LOCALE_DIR = Path(__file__).parent / "locale"
DOMAIN = "hearth"
SOURCE = "en"
LANGUAGES = {"en": "English", "zh": "中文"}
HTML_LANG = {"en": "en", "zh": "zh-CN"}

_language: ContextVar[str] = ContextVar("language", default=SOURCE)


def current_language() -> str:
    return _language.get()


def use_language(language: str) -> None:
    """From here on this request (or task) speaks `language`; an unknown one is English."""
    _language.set(language if language in LANGUAGES else SOURCE)


def _(message: str, **values: Any) -> str:
    """`message` in the request's language, `%(name)s` filled from `values`."""
    found = raw_gettext(message)
    return found % values if values else found


def ngettext(singular: str, plural: str, n: int, **values: Any) -> str:
    """The form for `n` things in the request's language; `%(num)s` is the number, as in templates."""
    return raw_ngettext(singular, plural, n) % {"num": n, **values}


def raw_gettext(message: str) -> str:
    """For Jinja, which fills in the values itself (and escapes them)."""
    return _catalogue(_language.get()).gettext(message)


def raw_ngettext(singular: str, plural: str, n: int) -> str:
    return _catalogue(_language.get()).ngettext(singular, plural, n)


def N_(message: str) -> str:  # noqa: N802 -- gettext's own name, which pybabel looks for
    """Marks a module-level text for translation; say it with `_()` where it is shown."""
    return message


def negotiate(preferred: Iterable[str | None], accept_language: str) -> str:
    """The first known of `preferred` (user, cookie), else the best of an Accept-Language header, else English."""
    for language in preferred:
        if language in LANGUAGES:
            return str(language)
    for language in _accepted(accept_language):
        if language in LANGUAGES:
            return language
    return SOURCE


def compile_catalogues() -> None:
    """Write a .mo beside every .po that is newer than it (or that has none)."""
    for po in LOCALE_DIR.glob(f"*/LC_MESSAGES/{DOMAIN}.po"):
        mo = po.with_suffix(".mo")
        if not mo.exists() or mo.stat().st_mtime < po.stat().st_mtime:
            mo.write_bytes(_compiled(po))


@cache
def _catalogue(language: str) -> stdlib.NullTranslations:
    if language == SOURCE:
        return stdlib.NullTranslations()
    po = LOCALE_DIR / language / "LC_MESSAGES" / f"{DOMAIN}.po"
    mo = po.with_suffix(".mo")
    fresh = mo.exists() and mo.stat().st_mtime >= po.stat().st_mtime
    return stdlib.GNUTranslations(io.BytesIO(mo.read_bytes() if fresh else _compiled(po)))


def _compiled(po: Path) -> bytes:
    with po.open("rb") as source:
        catalogue = read_po(source, locale=po.parent.parent.name)
    target = io.BytesIO()
    write_mo(target, catalogue)
    return target.getvalue()


def _accepted(header: str) -> list[str]:
    """The primary subtags of an Accept-Language header, best first."""
    weighed: list[tuple[float, str]] = []
    for part in header[:400].split(","):
        tag, _sign, weight = part.partition(";q=")
        try:
            quality = float(weight) if weight else 1.0
        except ValueError:
            continue
        if quality > 0:
            weighed.append((-quality, tag.strip().lower().partition("-")[0]))
    return [tag for _weight, tag in sorted(weighed, key=lambda pair: pair[0])]
