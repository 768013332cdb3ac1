"""What the rooms say in plain English, in the language of the page.

Domain errors, reasons and notes are finished sentences when they get here, some of them kept in the database; each is
found again among web/told_sentences.py by what stands between its values, and the values are put into its translation.
A sentence that is not there is shown as it came. A value called `words` must be a sentence of the list itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache

from runtime.errors import HearthError, Invalid, Problem
from web.i18n import SOURCE, _, current_language
from web.told_sentences import SENTENCES

_VALUE = re.compile(r"%\((\w+)\)s")
_LISTED = re.compile(r", | or ")
_LONGEST = 500  # characters; what is longer is no sentence of ours
_DEEPEST = 5  # sentences whose value is a sentence whose value …


def told(said: str | Problem | HearthError | None) -> str:
    """In the language of the request; "" for nothing."""
    if isinstance(said, Invalid):
        return "; ".join(told(problem) for problem in said.problems)
    if isinstance(said, Problem):
        return f"{said.path}: {_sentence(said.message)}" if said.path else _sentence(said.message)
    return _sentence(str(said or ""))


def told_problems(problems: Sequence[Problem]) -> list[Problem]:
    """The same, each in the language of the request."""
    return [Problem(problem.path, _sentence(problem.message)) for problem in problems]


def pattern_of(sentence: str) -> re.Pattern[str]:
    """What finds the values in a text that was made by `sentence`."""
    parts = _VALUE.split(sentence)  # literal, name, literal, …
    literal = [re.escape(part.replace("%%", "%")) for part in parts[::2]]
    named = [f"(?P<{name}>.+?)" for name in parts[1::2]] + [""]
    return re.compile("".join(each for pair in zip(literal, named, strict=True) for each in pair), re.DOTALL)


def _sentence(said: str) -> str:
    plain = current_language() == SOURCE or len(said) > _LONGEST
    return said if plain else _translated(said)[0]


def _translated(said: str, depth: int = 0) -> tuple[str, int]:
    """By the sentence that leaves least of it as it is; and how many characters that is."""
    best = _listed(said, depth)
    for sentence, pattern in _patterns() if depth < _DEEPEST else ():
        found = pattern.fullmatch(said)
        if found is None:
            continue
        values = {name: _translated(value, depth + 1) for name, value in found.groupdict().items()}
        left = sum(untold for _value, untold in values.values())
        told = "words" not in values or values["words"][1] < len(found["words"])
        if told and left < best[1]:
            best = _filled(_(sentence), {name: value for name, (value, _untold) in values.items()}), left
    return best


def _listed(said: str, depth: int) -> tuple[str, int]:
    """One thing or several, as a list of names is written."""
    parts = _LISTED.split(said)
    if len(parts) == 1 or depth >= _DEEPEST:
        return said, len(said)
    told = [_translated(part, depth + 1) for part in parts]
    left = sum(untold for _part, untold in told)
    return ("、".join(part for part, _untold in told), left) if left < len("".join(parts)) else (said, len(said))


def _filled(sentence: str, values: Mapping[str, str]) -> str:
    return sentence % values if values else sentence.replace("%%", "%")


@cache
def _patterns() -> list[tuple[str, re.Pattern[str]]]:
    return [(sentence, pattern_of(sentence)) for sentence in SENTENCES]
