"""Lines short enough for SMTP: MJML writes thousands of characters on one, and the whole body would go in base64."""

from __future__ import annotations

import re

LONG = 500  # characters of a template; 998 bytes may stand on a line (RFC 5322), and values and Chinese take more

# Where blanks mean nothing to a browser: between the parts of a table and of the head. Not within cells, and not
# between columns, which stand side by side only without a gap.
_SEAM = re.compile(r"(?<=>)(?=<(?:/?tr|/?tbody|/?thead|/table|td|th|/head|body|style|meta)\b)", re.IGNORECASE)


def break_lines(html: str) -> str:
    """The same page, long lines broken at seams."""
    return "\n".join(_SEAM.sub("\n", line) if len(line) > LONG else line for line in html.split("\n"))
