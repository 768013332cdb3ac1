"""`python -m web.translations [FILE.json]`: bring the Chinese catalogue up to date with the sources, and merge
translations in.
"""

from __future__ import annotations

import fcntl
import json
import sys
from collections.abc import Mapping
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po, write_po

from web.i18n import DOMAIN, LOCALE_DIR

WEB = Path(__file__).parent
METHODS = [
    ("**/locale/**", "ignore"),
    ("static/**", "ignore"),
    ("**.py", "python"),
    ("**.html", "jinja2"),
    ("**.txt", "jinja2"),
]
OPTIONS = {"**.html": {"trimmed": "true", "silent": "false"}, "**.txt": {"silent": "false"}}
KEYWORDS = {"_": None, "gettext": None, "ngettext": (1, 2), "N_": None}
LANGUAGE = "zh"


def catalogue_path(language: str = LANGUAGE) -> Path:
    return LOCALE_DIR / language / "LC_MESSAGES" / f"{DOMAIN}.po"


def extracted() -> Catalog:
    """Every text of the console's sources, in the order of the files."""
    found = Catalog(project="hearth", charset="utf-8")
    for name, _line, message, comments, context in extract_from_dir(WEB, METHODS, OPTIONS, keywords=KEYWORDS):
        found.add(message, locations=[(name, 1)], auto_comments=comments, context=context)
    return found


def read_catalogue(path: Path) -> Catalog:
    if not path.exists() or path.stat().st_size == 0:
        return Catalog(locale=LANGUAGE)
    with path.open("rb") as source:
        return read_po(source, locale=LANGUAGE)


def missing(catalogue: Catalog, template: Catalog) -> list[str]:
    """The texts of `template` that `catalogue` does not translate."""
    found = []
    for message in template:
        known = catalogue.get(message.id) if message.id else message
        if known is None or not _translated(known) or known.fuzzy:
            found.append(_key(message))
    return [text for text in found if text]


def update(translations: Mapping[str, str]) -> list[str]:
    """Bring the file up to date, with `translations` merged in; returns what still lacks Chinese."""
    path = catalogue_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        template = extracted()
        catalogue = read_catalogue(path)
        catalogue.update(template, no_fuzzy_matching=True, update_creation_date=False)
        catalogue.obsolete.clear()
        catalogue.header_comment, catalogue.fuzzy = "# Hearth in Simplified Chinese", False
        for message in catalogue:
            text = translations.get(_key(message))
            if message.id and text is not None:
                message.string = (text,) if isinstance(message.id, tuple) else text
        with path.open("wb") as target:
            write_po(target, catalogue, width=0, no_location=True, omit_header=False, sort_output=True)
    return missing(catalogue, template)


def _key(message: Message) -> str:
    return message.id[0] if isinstance(message.id, (tuple, list)) else str(message.id)


def _translated(message: Message) -> bool:
    return all(message.string) if isinstance(message.string, (tuple, list)) else bool(message.string)


if __name__ == "__main__":
    given = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")) if len(sys.argv) > 1 else {}
    lacking = update(given)
    sys.stdout.write("".join(f"{text}\n" for text in lacking))
    sys.stdout.write(f"{len(lacking)} texts lack Chinese\n")
