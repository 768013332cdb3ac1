"""What a person should look at before sending; nothing here refuses."""

from __future__ import annotations

import re
from unicodedata import east_asian_width

from campaigns.content.compiled import CompiledContent
from campaigns.content.values import Rendered

SUBJECT_COLUMNS = 70  # what phones and Gmail show; a Chinese character takes two
GMAIL_CLIPS_AT = 102 * 1024

_IMAGE = re.compile(r"<img\b[^>]*>", re.IGNORECASE)
_ALT = re.compile(r"\balt\s*=", re.IGNORECASE)
_PLAIN_IMAGE = re.compile(r"\bsrc\s*=\s*[\"']?http://", re.IGNORECASE)


def preview_warnings(content: CompiledContent, rendered: Rendered) -> list[str]:
    """Plain English sentences: those of the compiled content and those of this rendering."""
    found = list(content.warnings)
    if rendered.missing:
        found.append(f"Without a value for this person: {', '.join(sorted(rendered.missing))}.")
    columns = sum(2 if east_asian_width(sign) in "WF" else 1 for sign in rendered.subject)
    if not rendered.subject:
        found.append("The subject is empty.")
    elif columns > SUBJECT_COLUMNS:
        found.append(f"The subject is {columns} columns wide; many mail programs show {SUBJECT_COLUMNS}.")
    return found + (_html_warnings(rendered.html) if rendered.html is not None else [])


def _html_warnings(html: str) -> list[str]:
    found = []
    size = len(html.encode("utf-8", "replace"))
    if size > GMAIL_CLIPS_AT:
        found.append(f"The HTML has {size // 1024} KB; Gmail cuts it off after 102 KB.")
    images = _IMAGE.findall(html)
    nameless = sum(1 for image in images if not _ALT.search(image))
    if nameless:
        found.append(f"{nameless} of {len(images)} images have no alt text.")
    if any(_PLAIN_IMAGE.search(image) for image in images):
        found.append("An image is loaded without encryption (http).")
    return found
