"""HTML of a mail: MJML to HTML, styles inlined, links and images in order, pixel and footer added. Works on masked
sources."""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Iterator
from typing import cast

import cssutils
from lxml import etree
from mjml import mjml2html
from premailer import Premailer

from campaigns.content.footer import html_footer
from campaigns.content.links import LinkTable, is_unsubscribe, rewrite, web_address
from campaigns.content.masking import Masked
from campaigns.content.names import words
from runtime.errors import Invalid, Problem

DOCTYPE = "<!DOCTYPE html>"
MAX_RULES = 2_000
MAX_MATCHES = 2_000_000  # rules times elements, each a few microseconds of compiling
# The pixel, and beside it a link that nobody sees: who follows it follows all links, and is a machine.
PIXEL = (
    '{% if _pixel %}\n<a href="{{ _pixel }}/more" rel="nofollow" tabindex="-1" aria-hidden="true"'
    ' style="display:none"></a><img src="{{ _pixel }}" width="1" height="1" alt=""'
    ' style="display:block;border:0;width:1px;height:1px">{% endif %}'
)

# Nothing of this works in a mail, and all of it is a danger where a mail is shown in a browser.
_ACTIVE = frozenset(words("script iframe object embed applet frame frameset base noscript svg math"))
_FETCHED = ("src", "background", "poster", "formaction", "data", "longdesc")
_BARE_AMPERSAND = re.compile(r"&(?!(?:#\d+|#x[0-9a-f]+|[a-z][a-z0-9]*);)", re.IGNORECASE)
_ADDRESS_ATTRIBUTE = re.compile(r"""\b(?:href|src|background)\s*=\s*(?:"[^"]*"|'[^']*')""", re.IGNORECASE)
_CONDITIONAL_HREF = re.compile(r"""(\bhref=)(["'])(.*?)\2""", re.IGNORECASE | re.DOTALL)
_KEPT_RULES = re.compile(r"@(?:import|charset)\b[^;]*;|@font-face\s*\{[^}]*\}", re.IGNORECASE)
_DOCUMENT = re.compile(r"<(?:html|head|body)\b", re.IGNORECASE)
_DOCTYPE = re.compile(r"\s*<!doctype[^>]*>", re.IGNORECASE)


class Mail:
    """One HTML body on its way from source to template."""

    def __init__(self, masked: Masked, part: str, own: Collection[str], table: LinkTable) -> None:
        self._masked = masked
        self._part = part
        self._own = own
        self._table = table
        source = masked.with_comments()
        if part == "mjml":
            source = _from_mjml(source)
        self._doctype = _DOCTYPE.match(source)
        self.tree = _parse(source, part)
        own_styles = self._set_styles_aside()
        self.tree = _inline_styles(self.tree, part)
        for element, style in own_styles:
            element.set("style", f"{element.get('style', '')}; {style}".lstrip("; "))
        self._check_tags()
        self._remove_active()
        self._rewrite_addresses()

    def template(self, *, with_footer: bool, language: str) -> str:
        """The Jinja template of the whole document."""
        root = self.tree.getroot()
        if root.get("lang") in (None, "", "und"):
            root.set("lang", language)
        end = etree.Comment(self._masked.word(0, "P"))
        body = root.find("body")
        (root if body is None else body).append(end)
        html = _DOCTYPE.sub("", etree.tostring(self.tree, method="html", encoding="unicode"), count=1).strip()
        end.getparent().remove(end)
        before, after = (self._masked.restore(half, link_variable) for half in html.split(f"<!--{end.text}-->"))
        doctype = self._doctype[0].strip() if self._doctype else DOCTYPE
        return f"{doctype}\n{before}{html_footer(language) if with_footer else ''}{PIXEL}{after}\n"

    def leads_out(self) -> bool:
        """Whether a link to the unsubscribe page stands where people see it."""
        return any(is_unsubscribe(element.get("href") or "", self._masked) for element in self.tree.iter("a", "area"))

    def elements(self) -> Iterator[etree._Element]:
        return (element for element in self.tree.iter() if isinstance(element.tag, str))

    def _set_styles_aside(self) -> list[tuple[etree._Element, str]]:
        """Style attributes with tags in them: cssutils drops what it does not understand (`width: {{ x }}%`)."""
        aside = [(element, element.get("style") or "") for element in self.elements() if element.get("style")]
        aside = [(element, style) for element, style in aside if self._masked.has(style)]
        for element, _ in aside:
            del element.attrib["style"]
        return aside

    def _check_tags(self) -> None:
        """Every tag is still there, and every statement once, in its order, with its partners in the same element."""
        text = etree.tostring(self.tree, method="html", encoding="unicode")
        tags = self._masked.tags
        found = [int(word[2]) for word in self._masked.find(text)]
        for number in sorted({tag.number for tag in tags} - set(found)):
            raise Invalid(
                self._masked.problem(tags[number], "is lost here; put it inside a text (MJML: or into <mj-raw>)")
            )
        kept = [number for number in found if tags[number].is_statement]
        wanted = [tag.number for tag in tags if tag.is_statement]
        if kept != wanted:
            culprit = next(tag for tag, other in zip(wanted, kept, strict=False) if tag != other)
            raise Invalid(self._masked.problem(tags[culprit], "cannot stand here; put it inside a text"))
        self._check_partners()

    def _check_partners(self) -> None:
        parents = {
            int(found[2]): comment.getparent()
            for comment in self.tree.iter(etree.Comment)
            for found in self._masked.find(comment.text or "")
            if found[0] == comment.text
        }
        opened: list[int] = []
        for tag in self._masked.tags:
            keyword = tag.inner.split(None, 1)[0] if tag.is_statement and tag.inner else ""
            if keyword in ("if", "for"):
                opened.append(tag.number)
            elif keyword in ("elif", "else", "endif", "endfor") and opened:
                start = opened[-1]
                if parents.get(start) is not parents.get(tag.number):
                    first = self._masked.tags[start]
                    message = f"and {first.source} of line {first.line} stand in different elements"
                    raise Invalid(self._masked.problem(tag, f"{message}; an element begins and ends within one branch"))
                if keyword.startswith("end"):
                    opened.pop()

    def _remove_active(self) -> None:
        for element in list(self.elements()):
            tag = str(element.tag).lower()
            refresh = tag == "meta" and (element.get("http-equiv") or "").lower() == "refresh"
            if tag in _ACTIVE or refresh:
                if self._holds_statement(element):
                    raise Invalid(Problem(self._part, f"<{tag}> does not work in a mail; take it out"))
                _remove(element)
                self._table.warnings.append(f"<{tag}> does not work in a mail and was taken out.")
            for name in [name for name in element.attrib if str(name).lower().startswith("on")]:
                del element.attrib[name]
                self._table.warnings.append(f"{name!s} on <{tag}> does not work in a mail and was taken out.")

    def _holds_statement(self, element: etree._Element) -> bool:
        text = etree.tostring(element, method="html", encoding="unicode", with_tail=False)
        return any(self._masked.tags[int(found[2])].is_statement for found in self._masked.find(text))

    def _rewrite_addresses(self) -> None:
        for element in self.elements():
            if str(element.tag) in ("a", "area") and element.get("href") is not None:
                element.set("href", self._link(element.get("href") or "", _label(element, self._masked)))
            elif element.get("href") is not None or element.get("action") is not None:
                self._fetched(element, "href", "action")
            self._fetched(element, *_FETCHED)
            for name in ("ping", "srcset"):
                if self._masked.has(element.get(name) or ""):
                    del element.attrib[name]
            if style := element.get("style"):
                element.set("style", self._masked.relabel(style, "C"))
            if element.tag == "style" and element.text:
                element.text = self._masked.relabel(element.text, "C")
        for comment in self.tree.iter(etree.Comment):
            text = comment.text or ""
            comment.text = _CONDITIONAL_HREF.sub(
                lambda found: found[1] + found[2] + _escaped(self._link(_unescaped(found[3]), "")) + found[2], text
            )

    def _link(self, target: str, label: str) -> str:
        if not target.strip():
            self._table.warnings.append("A link has no address.")
            return target
        return rewrite(target, label, self._part, self._masked, self._own, self._table)

    def _fetched(self, element: etree._Element, *names: str) -> None:
        for name in names:
            value = element.get(name)
            if value is not None:
                what = f"<{element.tag} {name}>"
                element.set(name, web_address(value, self._part, self._masked, self._table, what=what))


def link_variable(index: int) -> str:
    """The template's variable for tracked link `index`."""
    return f"{{{{ _c{index} }}}}"


def _from_mjml(source: str) -> str:
    try:
        return mjml2html(source, fonts={})  # or every reader would ask Google for Ubuntu, in vain where it is blocked
    except ValueError as error:
        raise Invalid(Problem("mjml", f"this is no MJML: {error}")) from None


def _parse(source: str, part: str) -> etree._ElementTree:
    if not _DOCUMENT.search(source):
        source = f"<html><body>{source}</body></html>"
    source = _ADDRESS_ATTRIBUTE.sub(lambda found: _BARE_AMPERSAND.sub("&amp;", found[0]), source)
    parser = etree.HTMLParser(encoding="utf-8")
    root = etree.fromstring(source.encode("utf-8", "replace"), parser)
    if root is None:
        raise Invalid(Problem(part, "there is nothing in it"))
    if any(error.type_name == "ERR_RESOURCE_LIMIT" for error in parser.error_log):
        raise Invalid(Problem(part, "its elements are nested too deeply (more than 256 levels)"))
    unknown = [str(element.tag) for element in root.iter() if str(element.tag).startswith("mj-")]
    if part == "mjml" and unknown:
        raise Invalid(Problem(part, f"<{unknown[0]}> is no MJML element, or not possible where it stands"))
    return root.getroottree()


class _Inliner(Premailer):  # type: ignore[misc]
    """premailer without a network: cssutils would fetch every `@import`."""

    def _parse_css_string(self, css_body: str, validate: bool = True) -> object:
        parser = cssutils.CSSParser(loglevel=logging.CRITICAL + 1, validate=False, fetcher=_fetch_nothing)
        return parser.parseString(css_body, validate=False)


def _fetch_nothing(url: str) -> tuple[None, bytes]:
    return None, b""


def _inline_styles(tree: etree._ElementTree, part: str) -> etree._ElementTree:
    """Styles into the elements; media queries, hover and fonts stay in the head. Raises Invalid for too many."""
    root = tree.getroot()
    rules = sum((style.text or "").count("{") for style in root.iter("style"))
    elements = sum(1 for _ in root.iter())
    if rules > MAX_RULES or rules * elements > MAX_MATCHES:
        raise Invalid(Problem(part, f"has {rules} style rules for {elements} elements; that is too much for a mail"))
    for style in list(root.iter("style")):
        kept_rules = _KEPT_RULES.findall(style.text or "")
        if kept_rules:
            style.text = _KEPT_RULES.sub("", style.text or "")
            kept = etree.Element("style", {"type": "text/css", "data-premailer": "ignore"})
            kept.text = "\n".join(kept_rules)
            style.addprevious(kept)
    inliner = _Inliner(
        root,
        allow_network=False,
        disable_validation=True,
        strip_important=False,
        disable_leftover_css=True,
        cssutils_logging_level=logging.CRITICAL + 1,
    )
    return cast(etree._ElementTree, inliner.transform())


def _remove(element: etree._Element) -> None:
    parent, previous = element.getparent(), element.getprevious()
    if parent is None:
        return
    if element.tail:
        if previous is not None:
            previous.tail = (previous.tail or "") + element.tail
        else:
            parent.text = (parent.text or "") + element.tail
    parent.remove(element)


def _label(element: etree._Element, masked: Masked) -> str:
    """What a link says: its text, else its picture's."""
    text = " ".join("".join(str(piece) for piece in element.itertext(tag=etree.Element)).split())
    if not text:
        text = next((image.get("alt") or "" for image in element.iter("img")), "")
    return masked.restore(text)


def _escaped(text: str) -> str:
    return (
        text.replace("&", "&amp;")
        .replace('"', "&quot;")
        .replace("'", "&#39;")
        .replace("<", "&lt;")
        .replace(">", "&gt;")
    )


def _unescaped(text: str) -> str:
    return (
        text.replace("&quot;", '"')
        .replace("&#39;", "'")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&")
    )
