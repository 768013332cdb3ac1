"""Errors of the domain. Each names the culprit and the remedy; `web/errors.py` and `hearth.py` give them their form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from runtime.text import printable


class HearthError(Exception):
    """Something that the caller can understand and mend; its text is shown to people as it is."""


class NotFound(HearthError):
    """There is no such thing, or it is not the asker's to see."""


class Conflict(HearthError):
    """The thing is in a state in which this cannot be done."""


class Forbidden(HearthError):
    """The asker's role does not allow this."""


class TooLarge(HearthError):
    """The input is larger than Hearth accepts."""


class Unavailable(HearthError):
    """A part that Hearth needs (database, mail server) does not answer; trying again later may help."""


@dataclass(frozen=True)
class Problem:
    """One thing wrong with an input: `path` names the culprit (`items[2].email`), `message` the fault and remedy.

    Both may quote the input, so what cannot be written as UTF-8 or kept as text stands there as an escape.
    """

    path: str
    message: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", printable(self.path))
        object.__setattr__(self, "message", printable(self.message))

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class Invalid(HearthError):
    """The input is understood but refused; `problems` lists every culprit."""

    def __init__(self, problems: Sequence[Problem] | Problem | str) -> None:
        if isinstance(problems, str):
            problems = Problem("", problems)
        self.problems = [problems] if isinstance(problems, Problem) else list(problems)
        super().__init__("; ".join(str(problem) for problem in self.problems))
