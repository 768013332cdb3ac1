"""Which templates have settled lines: lines that need nothing on the wire, known while compiling.

Settled lines begin neither with a dot (SMTP would double it) nor with `--=` (as what divides our mails does), and have
998 bytes at most. A template's constants are looked at here, once; what is left for rendering are the values: how long
they are, and how those begin that may begin a line. So no mail need be searched from end to end.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from jinja2 import nodes

from campaigns.content.output import ROOM
from campaigns.content.portions import is_click, portions
from channels.contract import Lines

CLICK_ROOM = 150  # bytes of a tracked address in settled lines, at most
FIRST = (b".", b"-", b"=")
_UNDECIDED = frozenset((b"", b"-", b"--"))
_LONGEST = 998  # RFC 5322
_DEEPEST = 3  # loops within loops that are looked at: each is gone through up to three times


@dataclass(frozen=True)
class Line:
    """How far a line has come: `width` bytes at most; `begun` is all that there may be of it, where that is so little
    that what follows decides."""

    begun: frozenset[bytes] = frozenset((b"",))
    width: int = 0


class Layout:
    """Of one template. `settled` holds for values that keep to ROOM and CLICK_ROOM, none of FIRST at the front of those
    that may begin a line (`begins`)."""

    def __init__(self, template: nodes.Template) -> None:
        self.settled = True
        self._beginnings: set[int] = set()
        self._through(template.body, Line(), 0)

    def begins(self, value: nodes.Expr) -> bool:
        """Whether `value` may stand at the beginning of a line."""
        return id(value) in self._beginnings

    def _through(self, body: Iterable[nodes.Node], line: Line, depth: int) -> Line:
        for node in body:
            if isinstance(node, nodes.Output):
                for portion in portions(node.nodes):
                    line = self._portion(portion, line)
            elif isinstance(node, nodes.If):
                branches = [node.body, *(other.body for other in node.elif_), node.else_]
                line = _either(*(self._through(branch, line, depth) for branch in branches))
            elif isinstance(node, nodes.For):
                line = self._loop(node, line, depth + 1)
            elif not isinstance(node, nodes.Assign):
                self.settled = False
        return line

    def _loop(self, loop: nodes.For, line: Line, depth: int) -> Line:
        before = line
        for _ in range(3 if depth <= _DEEPEST else 0):  # a line that its body does not end grows each time
            after = _either(line, self._through(loop.body, line, depth))
            if after == line:
                return _either(line, self._through(loop.else_, before, depth))
            line = after
        self.settled = False
        return line

    def _portion(self, portion: Sequence[nodes.Expr], line: Line) -> Line:
        room = ROOM  # once on each line, for all of the portion's values together
        for child in portion:
            if isinstance(child, nodes.TemplateData):
                raw = Lines.of(child.data).raw
                room = ROOM if b"\n" in raw else room
                line = self._constant(raw, line)
                continue
            if line.begun:
                self._beginnings.add(id(child))
            line = Line(line.begun, line.width + (CLICK_ROOM if is_click(child) else room))
            room = room if is_click(child) else 0
        self.settled &= line.width <= _LONGEST
        return line

    def _constant(self, raw: bytes, line: Line) -> Line:
        first, *others = raw.split(b"\r\n")
        firsts = [begun + first for begun in line.begun]
        widest = max([line.width + len(first), *map(len, others)])
        self.settled &= widest <= _LONGEST and not any(each.startswith((b".", b"--=")) for each in [*firsts, *others])
        last = others[-1:] or firsts
        return Line(_UNDECIDED.intersection(last), len(others[-1]) if others else widest)


def _either(*lines: Line) -> Line:
    return Line(frozenset().union(*(line.begun for line in lines)), max(line.width for line in lines))
