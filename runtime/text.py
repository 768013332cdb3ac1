"""Text as it is compared, and as it is quoted."""

from __future__ import annotations

import unicodedata


def fold(text: str | None) -> str | None:
    """The form in which text is compared: NFKC, casefold, NFKC again (after Unicode 15, 3.13 D146); None stays None."""
    if text is None:
        return None
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def printable(text: str) -> str:
    """`text` with lone surrogates and NUL, which neither UTF-8 nor the database can hold, written as escapes."""
    return text.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode()
