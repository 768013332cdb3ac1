"""The physical lines of a text, by the piece."""

from __future__ import annotations

import io
import re

from runtime.errors import Invalid

LINE_LIMIT = 1 << 20  # characters
SPAN_LIMIT = 200  # lines that one quoted cell may run over
_CHUNK = 1 << 17  # characters that are read at once
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")


class Lines:
    """Physical lines, `number` of which are given out; some can be looked at ahead, or put back."""

    def __init__(self, text: io.TextIOWrapper) -> None:
        self._text = text
        self._held: list[str] = []
        self._at = 0  # how many of the held ones are given out
        self._rest = ""  # the beginning of a line whose end is not read yet
        self.number = 0
        self.size = 0

    def next(self) -> str | None:
        if self._at == len(self._held) and not self._read():
            return None
        line = self._held[self._at]
        self._at += 1
        self.number += 1
        return line

    def peek(self, count: int) -> list[str]:
        while len(self._held) - self._at < count and self._read():
            pass
        return self._held[self._at : self._at + count]

    def take(self) -> list[str]:
        """As many as are at hand; none at the end."""
        if self._at == len(self._held):
            self._read()
        lines = self._held[self._at :]
        self._at += len(lines)
        self.number += len(lines)
        return lines

    def put_back(self, count: int) -> None:
        """Let the last `count` lines come again; at most those of one quoted cell, or of the last `take`."""
        self._at -= count
        self.number -= count

    def _read(self) -> bool:
        """Hold at least one line more; False at the end."""
        self._held = self._held[max(0, self._at - SPAN_LIMIT - 1) :]
        self._at = min(self._at, SPAN_LIMIT + 1)
        kept = len(self._held)
        while len(self._held) == kept:
            piece = self._next_piece()
            if not piece:
                self._held += [self._rest] if self._rest else []
                self._rest = ""
                break
            # A line feed may follow a carriage return that ends the piece; a line without end is cut.
            piece += self._text.read(1) if piece[-1] == "\r" else ""
            self.size += len(piece)
            lines = _split(self._rest + piece)
            self._rest = "" if lines[-1][-1] in "\r\n" else lines.pop()[:LINE_LIMIT]
            self._held += [line[:LINE_LIMIT] for line in lines]
        return len(self._held) > kept

    def _next_piece(self) -> str:
        try:
            return self._text.read(_CHUNK)
        except UnicodeError as error:  # some encodings ask more of a file than that single characters decode
            raise Invalid(f"the file is not in the encoding {self._text.encoding}: {error}") from None


def _split(text: str) -> list[str]:
    """The lines of `text`, with their ends: only `\\r`, `\\n` and both together end one."""
    lines = text.splitlines(keepends=True)
    if len(lines) == text.count("\n") + (text[-1] != "\n"):  # no other sign has split any
        return lines
    return _LINE.findall(text)
