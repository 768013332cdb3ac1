"""Answers of servers, alike ones as one."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from campaigns.live.base import AnswerRow
from campaigns.live.figures import Answer

MOST = 12  # that are shown
MOST_DOMAINS = 5  # that are named at an answer
WORDS = 300  # characters of an answer
EXAMPLE = 1_000


@dataclass
class _Group:
    n: int = 0
    example: str = ""
    domains: Counter[str] = field(default_factory=Counter)


class Grouping:
    """Counts as it is told."""

    def __init__(self, rows: Iterable[AnswerRow] = ()) -> None:
        self._groups: dict[tuple[str, str], _Group] = defaultdict(_Group)
        for row in rows:
            self.add(row)

    def add(self, row: AnswerRow) -> None:
        group = self._groups[row.state, row.text]
        group.n += row.n
        group.example = group.example or row.example
        group.domains[row.domain] += row.n

    def listed(self) -> list[Answer]:
        """The most frequent first."""
        ordered = sorted(self._groups.items(), key=lambda item: (-item[1].n, item[0]))[:MOST]
        return [_answer(state, text, group) for (state, text), group in ordered]


def _answer(state: str, text: str, group: _Group) -> Answer:
    domains = [domain for domain, _n in group.domains.most_common(MOST_DOMAINS) if domain]
    return Answer(state, text[:WORDS], group.n, group.example[:EXAMPLE], domains)
