"""The plain-text part: made from the HTML, or given with its addresses tracked."""

from __future__ import annotations

import re
from collections.abc import Collection

from lxml import etree

from campaigns.content.links import LinkTable, rewrite
from campaigns.content.masking import Masked
from campaigns.content.names import words

_BLOCKS = frozenset(
    words(
        "address article aside blockquote center dd div dl dt fieldset figure footer form h1 h2 h3 h4 h5 h6 header hr"
        " li main nav ol p pre section table tbody tfoot thead tr ul body"
    )
)
_PARAGRAPHS = frozenset(words("p h1 h2 h3 h4 h5 h6 ul ol table blockquote"))
_SILENT = frozenset({"head", "style", "title", "script"})
_HIDDEN = re.compile(r"display\s*:\s*none", re.IGNORECASE)
_BLANKS = re.compile(r"[ \t\r\n\u00a0\u200b\u200c\u034f]+")
_ADDRESS = re.compile(r"https?://[^\s<>\"'，。、；！？（）【】《》]+", re.IGNORECASE)
_TRAILING = ".,;:!?)]}"


def text_from_html(tree: etree._ElementTree, masked: Masked) -> str:
    """Masked text: blocks as lines, a link's address behind its words, statements where they stood."""
    pieces: list[str] = []
    root = tree.getroot()
    for element in [*reversed(list(root.itersiblings(preceding=True))), root, *root.itersiblings()]:
        _walk(element, masked, pieces, silent=False)
    text = "".join(pieces)
    text = re.sub(r" *\n *", "\n", text)
    return masked.join_lines(re.sub(r"\n{3,}", "\n\n", text).strip("\n ") + "\n")


def track_addresses(masked: Masked, own: Collection[str], table: LinkTable) -> str:
    """A given text with its web addresses as tracked links."""

    def track(found: re.Match[str]) -> str:
        address = found[0].rstrip(_TRAILING)
        return rewrite(address, "", "text", masked, own, table) + found[0][len(address) :]

    return _ADDRESS.sub(track, masked.text)


def _walk(element: etree._Element, masked: Masked, pieces: list[str], *, silent: bool) -> None:
    """`silent`: only statements are kept, since each needs its partner."""
    if not isinstance(element.tag, str):
        text = element.text or ""
        if masked.is_statement(text):
            pieces.append(text)
        return
    tag = element.tag
    silent = silent or tag in _SILENT or bool(_HIDDEN.search(element.get("style") or ""))
    before, after = _marks(element)
    if not silent:
        pieces.append(before)
    _say(element.text, masked, pieces, silent)
    for child in element:
        _walk(child, masked, pieces, silent=silent)
        _say(child.tail, masked, pieces, silent)
    if not silent:
        pieces.append(after)


def _say(text: str | None, masked: Masked, pieces: list[str], silent: bool) -> None:
    if not text:
        return
    if silent:
        pieces += [found[0] for found in masked.find(text) if masked.tags[int(found[2])].is_statement]
    else:
        pieces.append(_BLANKS.sub(" ", text))


def _marks(element: etree._Element) -> tuple[str, str]:
    """What stands before and after an element's text."""
    tag = element.tag
    if tag == "br":
        return "\n", ""
    if tag == "hr":
        return "\n----\n", ""
    if tag == "img":
        return element.get("alt") or "", ""
    if tag == "li":
        return "\n- ", "\n"
    if tag in ("td", "th"):
        return "", " "
    if tag == "a" and (address := element.get("href") or "") and not address.startswith(("#", "mailto:", "tel:")):
        return "", f" ({address})"
    if tag in _BLOCKS:
        gap = "\n\n" if tag in _PARAGRAPHS else "\n"
        return gap, gap
    return "", ""
