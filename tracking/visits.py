"""Visits to the shop's own pages, by those who came from a message and agreed that it be known.

With HEARTH_VISIT_SITES the address to which a click on such a site leads carries the token of the click; the script
`/static/visits.js` in the shop's pages keeps it, once the visitor agreed, and reports each page with it. Nobody else is
followed: without a token there is no visit.
"""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from runtime.errors import Invalid

PARAMETER = "hearth"
LONGEST_ADDRESS = 2_000


def landing(target: str, token: str, sites: Collection[str]) -> str:
    """Where a click leads: to one of the `sites`, with its token."""
    if not sites:
        return target
    parts = urlsplit(target)
    if parts.netloc.lower() not in sites:
        return target
    query = f"{parts.query}&{PARAMETER}={token}" if parts.query else f"{PARAMETER}={token}"
    return urlunsplit(parts._replace(query=query))


def visited_page(address: str, sites: Collection[str]) -> str:
    """The page's address as it is kept: without the token, without fragment. Raises Invalid for one of other sites."""
    try:
        parts = urlsplit(address[:LONGEST_ADDRESS])
    except ValueError:
        raise Invalid("this is not the address of a page") from None
    if parts.scheme not in ("http", "https") or parts.netloc.lower() not in sites:
        raise Invalid("this page is not one of HEARTH_VISIT_SITES")
    query = urlencode([(name, value) for name, value in parse_qsl(parts.query, True) if name != PARAMETER])
    return urlunsplit((parts.scheme, parts.netloc.lower(), parts.path, query, ""))
