"""Text as it is compared."""

from __future__ import annotations

import unicodedata


def fold(text: str | None) -> str | None:
    """The form in which text is compared: NFKC, casefold, NFKC again (after Unicode 15, 3.13 D146); None stays None."""
    if text is None:
        return None
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
