"""Jinja tags out of the way of the HTML tools, and back.

premailer, MJML and lxml damage tags in attributes and styles, and lose `{% %}` between table rows. So each tag
becomes a word of letters and digits before, in places where a comment survives better a comment, and is put back
after.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html import unescape
from html.parser import HTMLParser

from jinja2 import TemplateSyntaxError
from jinja2.environment import Environment

from runtime.errors import Invalid, Problem

_RAW_TEXT = frozenset({"title", "style", "textarea", "script", "mj-title", "mj-preview", "mj-style"})
_ESCAPED_TAG = re.compile(r"\{[{%][^{}]{0,1000}[%}]\}")


@dataclass(frozen=True)
class Tag:
    """One Jinja tag: `inner` is what stands between its braces, without blanks and whitespace signs."""

    number: int
    source: str
    inner: str
    is_statement: bool
    line: int


def prepared(source: str) -> str:
    """A source as it is worked on: newlines as `\\n`, and tags without the entities that visual editors put into
    them."""
    return _ESCAPED_TAG.sub(lambda found: unescape(found[0]), source.replace("\r\n", "\n").replace("\r", "\n"))


class Masked:
    """A source with words in place of its tags. `word(n)` stands for tag n; `letter` says how its value is to be
    written: E as it is, C inside a style, U inside an address; L is tracked link n rather than a tag."""

    def __init__(self, source: str, environment: Environment, part: str) -> None:
        self._salt = _unused_salt(source)
        self._pattern = re.compile(rf"jz{self._salt}([A-Z])(\d+)z", re.IGNORECASE)
        self._opener = re.compile(rf"\{{(?=[{{%#]|jz{self._salt})", re.IGNORECASE)
        self._part = part
        self.tags: list[Tag] = []
        self.text = "".join(self._pieces(source, environment))

    def word(self, number: int, letter: str = "E") -> str:
        return f"jz{self._salt}{letter}{number}z"

    def find(self, text: str) -> Iterator[re.Match[str]]:
        """The words in `text`: group 1 the letter, group 2 the number."""
        return self._pattern.finditer(text)

    def has(self, text: str) -> bool:
        return self._pattern.search(text) is not None

    def is_statement(self, text: str) -> bool:
        """Whether `text` is one statement's word and nothing else."""
        found = self._pattern.fullmatch(text)
        return found is not None and found[1].upper() != "L" and self.tags[int(found[2])].is_statement

    def relabel(self, text: str, letter: str) -> str:
        """The same text with its tags' values to be written in another way."""
        return self._pattern.sub(
            lambda found: found[0] if found[1].upper() == "L" else self.word(int(found[2]), letter), text
        )

    def restore(self, text: str, link: Callable[[int], str] = str) -> str:
        """Every word back into its tag; tracked link n into `link(n)`. What looks like a tag and was none before
        (braces that were written as entities, or in two elements) stays text."""

        def back(found: re.Match[str]) -> str:
            letter, number = found[1].upper(), int(found[2])
            if letter == "L":
                return link(number)
            tag = self.tags[number]
            if letter == "E" or tag.is_statement:
                return tag.source
            return f"{{{{ ({tag.inner})|{'_css' if letter == 'C' else '_url'} }}}}"

        return self._pattern.sub(back, self._opener.sub("{{ '{' }}", self._bare(text)))

    def with_comments(self) -> str:
        """The text with every statement between elements as a comment, which HTML allows anywhere. Raises Invalid for
        statements where none can be: inside a start tag, in a style."""
        _check_comments(self.text, self._part)
        places = _places(self.text, self)
        problems = [self._misplaced(tag, places.get(tag.number, "")) for tag in self.tags]
        if any(problems):
            raise Invalid([problem for problem in problems if problem is not None])
        between = {tag.number for tag in self.tags if tag.is_statement and places.get(tag.number) == "between"}
        return self._pattern.sub(
            lambda found: f"<!--{found[0]}-->" if int(found[2]) in between else found[0], self.text
        )

    def join_lines(self, text: str) -> str:
        """Lines that hold nothing but statements leave no empty line behind."""
        return re.sub(
            rf"(?m)^ *((?:{self._pattern.pattern} *)+)\n",
            lambda found: found[1].strip() if self._only_statements(found[1]) else found[0],
            text,
            flags=re.IGNORECASE,
        )

    def _only_statements(self, text: str) -> bool:
        return all(self.is_statement(word) for word in text.split())

    def _bare(self, text: str) -> str:
        """Statements out of the comments that carried them."""
        return re.sub(f"<!--({self._pattern.pattern})-->", lambda found: found[1], text, flags=re.IGNORECASE)

    def problem(self, tag: Tag, message: str) -> Problem:
        return Problem(self._part, f"line {tag.line}: {tag.source} {message}")

    def _misplaced(self, tag: Tag, place: str) -> Problem | None:
        if tag.is_statement and place in ("start tag", "style", "script"):
            return self.problem(tag, f"cannot stand inside a {place}; put it around the element")
        if place == "name":
            return self.problem(tag, "can only stand in an attribute's quoted value")
        return None

    def _pieces(self, source: str, environment: Environment) -> Iterator[str]:
        tag, kind, line = "", "", 0
        try:
            for lineno, piece, value in environment.lex(source):
                if piece == "data":
                    yield value
                elif piece in ("variable_begin", "block_begin", "comment_begin"):
                    tag, kind, line = value, piece, lineno
                elif piece in ("variable_end", "block_end"):
                    yield self._keep(tag + value.rstrip(), kind == "block_begin", line)
                elif piece.startswith("raw"):
                    raise Invalid(Problem(self._part, f"line {lineno}: {{% raw %}} is not possible"))
                elif piece != "comment_end":
                    tag += value
        except TemplateSyntaxError as error:
            raise Invalid(Problem(self._part, f"line {error.lineno}: {error.message}")) from None

    def _keep(self, source: str, is_statement: bool, line: int) -> str:
        tag = Tag(len(self.tags), source, source[2:-2].strip("-+ \t\n"), is_statement, line)
        self.tags.append(tag)
        return self.word(tag.number)


def _unused_salt(source: str) -> str:
    number, source = 0, source.lower()
    while f"jz{number}q" in source:
        number += 1
    return f"{number}q"


def _check_comments(text: str, part: str) -> None:
    """Raises Invalid for a comment without an end: HTML swallows the rest of the mail there, and Python's parser takes
    a time that grows with the square of the length."""
    start = text.find("<!--")
    while start >= 0:
        end = text.find("-->", start + 4)
        if end < 0:
            raise Invalid(Problem(part, f"line {text.count(chr(10), 0, start) + 1}: the comment <!-- is not closed"))
        start = text.find("<!--", end + 3)


class _Scanner(HTMLParser):
    """Notes where each word stands: `start tag` (in a quoted value), `name`, `comment`, `between`, or a raw text's
    element."""

    def __init__(self, masked: Masked) -> None:
        super().__init__(convert_charrefs=False)
        self._masked = masked
        self._inside = ""
        self.places: dict[int, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            self._note(name, "name")
            self._note(value or "", "start tag")
        self._note(tag, "name")
        if tag in _RAW_TEXT:
            self._inside = tag.removeprefix("mj-")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self._inside = ""

    def handle_endtag(self, tag: str) -> None:
        if tag.removeprefix("mj-") == self._inside:
            self._inside = ""
        self._note(tag, "name")

    def handle_data(self, data: str) -> None:
        self._note(data, self._inside or "between")

    def handle_comment(self, data: str) -> None:
        self._note(data, "comment")

    def handle_decl(self, decl: str) -> None:
        self._note(decl, "name")

    def unknown_decl(self, data: str) -> None:
        self._note(data, "comment")

    def handle_pi(self, data: str) -> None:
        self._note(data, "name")

    def _note(self, text: str, place: str) -> None:
        for found in self._masked.find(text):
            self.places[int(found[2])] = place


def _places(text: str, masked: Masked) -> dict[int, str]:
    scanner = _Scanner(masked)
    scanner.feed(text)
    scanner.close()
    return scanner.places
