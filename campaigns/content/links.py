"""Links of a content: which are tracked, and what may vary in them.

A tracked link's scheme and host are literal, so a click leads where the author wrote, whatever stands in a personal
field; Jinja is possible in path and query, each value quoted.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit

import idna

from campaigns.content.masking import Masked
from campaigns.content.surveys import label_of, stored
from campaigns.content.values import Link
from runtime.errors import Problem

MAX_LINKS = 500
MAX_LABEL = 80

_WEB = re.compile(r"(https?)://([^/?#]*)(.*)", re.IGNORECASE | re.DOTALL)
_HOST = re.compile(r"(?:(?!-)[a-z0-9_-]{1,63}(?<!-)\.?)+|\[[0-9a-f:.]+\]", re.IGNORECASE)
_UNTRACKED = re.compile(r"(?:mailto|tel|sms|smsto|whatsapp|weixin|tg):|#", re.IGNORECASE)
_OWN_PAGE = re.compile(r"links\.(unsubscribe|preferences|view)")
_NAMES = re.compile(r"[A-Za-z_]\w*")
# What may stand in path and query as it is; everything else is percent-encoded (RFC 3986, `%` for what is encoded
# already).
_AS_IT_IS = "/?#&=+:;,@!$'()*~-._%[]"


@dataclass
class LinkTable:
    """Gathers the tracked links of all parts; the same address is one link."""

    templates: dict[str, int] = field(default_factory=dict)
    labels: dict[int, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def track(self, template: str, label: str) -> int:
        index = self.templates.setdefault(template, len(self.templates))
        if label and not self.labels.get(index):
            self.labels[index] = label[:MAX_LABEL]
        return index

    def links(self) -> tuple[Link, ...]:
        return tuple(self._link(index, stored(template)) for template, index in self.templates.items())

    def _link(self, index: int, template: str) -> Link:
        return Link(index, template, label_of(template) or self.labels.get(index, ""))


def rewrite(target: str, label: str, part: str, masked: Masked, own: Collection[str], table: LinkTable) -> str:
    """What stands in the message in place of `target` (masked). Complaints go to the table.

    `own` are the template's own names (loop variables): a link that uses one cannot be rendered at the click, where
    there is no loop, so it goes out as it is, with a warning.
    """
    target = target.strip()
    if _UNTRACKED.match(target):
        return masked.relabel(target, "U")
    if _own_page(target, masked):
        return target
    shown = masked.restore(target)
    found = _WEB.fullmatch(target)
    problem = _fault(found, masked)
    if found is None or problem:
        table.problems.append(Problem(part, f"link {shown[:100]!r}: {problem}"))
        return target
    if found[1].lower() == "http":
        table.warnings.append(f"The link {shown[:100]} is not encrypted (http).")
    address = _tidy(found, masked)
    if own and _uses(address, masked, own):
        table.warnings.append(f"The link {shown[:100]} uses a name of a loop and cannot be tracked.")
        return address
    return masked.word(table.track(masked.restore(address), label), "L")


def web_address(target: str, part: str, masked: Masked, table: LinkTable, *, what: str) -> str:
    """An address that is fetched rather than clicked (an image): its scheme is literal too; `cid:` and `data:image/`
    may stand."""
    target = target.strip()
    if not target or target.startswith("cid:") or re.match(r"data:image/(?:png|gif|jpeg|webp)[;,]", target):
        return target
    found = _WEB.fullmatch(target)
    if problem := _fault(found, masked):
        table.problems.append(Problem(part, f"{what} {masked.restore(target)[:100]!r}: {problem}"))
        return target
    assert found is not None
    return _tidy(found, masked)


def same_place(address: str, template: str) -> bool:
    """Whether a rendered address has the scheme and host of its template."""
    rendered, literal = urlsplit(address), _WEB.match(template)
    return literal is not None and (rendered.scheme, rendered.netloc) == (literal[1].lower(), literal[2].lower())


def is_unsubscribe(target: str, masked: Masked) -> bool:
    """Whether the address is `{{ links.unsubscribe }}`."""
    return _own_page(target, masked) == "unsubscribe"


def _own_page(target: str, masked: Masked) -> str | None:
    """The page's name where the address is one of `{{ links.… }}` and nothing else."""
    words = list(masked.find(target))
    if len(words) != 1 or words[0][0] != target or words[0][1].upper() != "E":
        return None
    found = _OWN_PAGE.fullmatch(masked.tags[int(words[0][2])].inner)
    return found[1] if found else None


def _fault(found: re.Match[str] | None, masked: Masked) -> str:
    """What is wrong with an address, as the end of a sentence; empty where nothing is."""
    if found is None:
        return "must begin with a literal https:// or http:// and a host (or mailto:, tel:, #)"
    authority = found[2]
    if masked.has(authority):
        return "the host must be literal; a template can only fill path and query"
    host, port = _host_and_port(authority)
    if host is None or (port and not (port.isascii() and port.isdigit() and 0 < int(port[:6]) < 65536)):
        return f"{authority!r} is no host"
    return ""


def _host_and_port(authority: str) -> tuple[str | None, str]:
    host, colon, port = authority.rpartition(":") if not authority.endswith("]") else (authority, "", "")
    if not colon:
        host, port = authority, ""
    if not host.isascii():
        try:
            host = idna.encode(host, uts46=True).decode("ascii")
        except (idna.IDNAError, UnicodeError):
            return None, port
    return (host if _HOST.fullmatch(host) else None), port


def _tidy(found: re.Match[str], masked: Masked) -> str:
    """Scheme and host in their plain form, the rest percent-encoded where it must be, values to be quoted."""
    host, port = _host_and_port(found[2])
    rest = quote(found[3], safe=_AS_IT_IS)
    return masked.relabel(f"{found[1].lower()}://{(host or '').lower()}{':' + port if port else ''}{rest}", "U")


def _uses(target: str, masked: Masked, names: Collection[str]) -> bool:
    inner = " ".join(masked.tags[int(found[2])].inner for found in masked.find(target))
    return not set(_NAMES.findall(inner)).isdisjoint(names)
