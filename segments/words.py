"""A rule as a sentence, in English or Chinese: `Customers in 西安 who own a Gree air conditioner and have not …`.

Takes the JSON of a rule that was accepted; it explains, it does not check. English says what stands directly behind
"Customers" first, then the clauses with "who" and "whose"; Chinese says all of it before 客户.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from runtime.registry import Kind
from segments import operators
from segments.operators import Takes
from segments.phrases import ABOUT, PHRASES
from segments.records_in_words import Records
from segments.schema import ATTRIBUTES, REACHABLE
from segments.vocabulary import CHANNELS, FIELDS, LANGUAGES, OPERATORS, UNITS

_SHOWN = 5
_OURS = {"category", "status", "state", "kind", "gender"}
_RELATIVE = {name for name, takes in operators.OPERATORS[Kind.INSTANT].items() if takes is Takes.DURATION}
_DURATION = re.compile(r"([\d.]+)([YMWDHS])")
_SOME = re.compile(r"[1-9]")
_OPENERS = ("who ", "whose ")
_EXCEPT = "except those "
_EDGE = "\0"  # around a value in Chinese
_MEETING = re.compile(r"(?<=[\u4e00-\u9fff])\0+(?=[0-9A-Za-z])|(?<=[0-9A-Za-z])\0+(?=[\u4e00-\u9fff])")


@dataclass(frozen=True)
class Names:
    """What segments and audiences are called, by id; stored values, by field (`{"status": {"in_use": "In use"}}`)."""

    segments: Mapping[int, str] = field(default_factory=dict)
    audiences: Mapping[int, str] = field(default_factory=dict)
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def rule_in_words(rule: Mapping[str, Any], language: str = "en", names: Names | None = None) -> str:
    """The sentence. A language other than `en` and `zh` is English."""
    speaker = Speaker(LANGUAGES.index(language) if language in LANGUAGES else 0, names or Names())
    if rule == {"all": []} or rule == {"none": []}:
        return speaker.phrase("everyone")
    if rule == {"any": []}:
        return speaker.phrase("nobody")
    said = speaker.clauses(rule)
    return _spaced(speaker.phrase("all_but" if said.startswith(_EXCEPT) else "customers", rule=said))


@dataclass(frozen=True)
class Speaker:
    """Says parts of a rule in one language (0: English, 1: Chinese)."""

    language: int
    names: Names

    def phrase(self, key: str, **values: str) -> str:
        return PHRASES[key][self.language].format(**values)

    def clauses(self, rule: Mapping[str, Any]) -> str:
        """The rule as what follows "Customers" or "those"; in Chinese, what stands before 客户."""
        if "all" in rule:
            parts = [self.clause(one, nested=len(rule["all"]) > 1) for one in rule["all"]]
            return self.joined(parts, "all") if parts else self.clause(rule)
        if "any" in rule and len(rule["any"]) > 1:
            return self.joined([self.clause(one, nested=True) for one in rule["any"]], "any")
        return self.clause(rule)

    def clause(self, rule: Mapping[str, Any], nested: bool = False) -> str:
        """One condition or group, with its own `who` where it needs one."""
        for kind in ("all", "any", "none"):
            if kind in rule:
                return self.group(kind, rule[kind], nested)
        if "field" in rule:
            return self.about(rule)
        if "has" in rule:
            return Records(self, rule).clause()
        if "bucket" in rule:
            return self.phrase("bucket", low=f"{rule['bucket']['from']:,}", high=f"{rule['bucket']['to']:,}")
        key = "in_segment" if "in_segment" in rule else "in_audience"
        known = self.names.segments if key == "in_segment" else self.names.audiences
        return self.phrase(key, value=self.phrase("quoted", value=known.get(rule[key], str(rule[key]))))

    def group(self, kind: str, rules: Sequence[Mapping[str, Any]], nested: bool) -> str:
        if not rules:
            said = self.phrase("never" if kind == "any" else "everybody")
            return said if self.language else f"who {said}"
        if kind == "none":
            said = self.clauses({"any": rules})
            return self.phrase("not", rule=_as_clause(said))
        if len(rules) == 1:
            return self.clause(rules[0], nested)
        said = self.clauses({kind: rules})
        return self.phrase("brackets", rule=said) if nested else said

    def joined(self, parts: Sequence[str], kind: str) -> str:
        """Clauses in a row: a `who` that is said already is not said again."""
        if self.language:
            return _joined(parts, "，", "，且" if kind == "all" else "，或")
        if kind == "any":
            return _listed(_once([_as_clause(part) for part in parts]), "or")
        exceptions = [part for part in parts if part.startswith(_EXCEPT)]
        leads = [part for part in parts if not part.startswith((*_OPENERS, "(", _EXCEPT))]
        clauses = [part for part in parts if part not in exceptions and part not in leads]
        joint = " " if clauses and clauses[0].startswith(_OPENERS) else " and "
        said = joint.join(one for one in (_listed(leads, "and"), _listed(_once(clauses), "and")) if one)
        return ", ".join([said, *exceptions] if said else exceptions)

    def about(self, test: Mapping[str, Any]) -> str:
        """A field of the customer."""
        name: str = test["field"]
        if name.startswith(REACHABLE) and test["op"] == "is":
            channel = name.removeprefix(REACHABLE)
            said = CHANNELS[channel][self.language] if channel in CHANNELS else channel
            return self.phrase("reachable" if test["value"] else "not_reachable", value=said)
        words = ABOUT.get((name, test["op"]))
        if words and not (test["op"] == "older_than" and not _SOME.search(test["value"])):
            return words[self.language].format(value=self.operand(name, test))
        return self.phrase("whose", value=self.compared(self.field(name), self.called(name, test)))

    def operand(self, name: str, test: Mapping[str, Any]) -> str:
        """The value of a test, as people call it."""
        if test["op"] in _RELATIVE:
            return self.duration(test["value"])
        return self.values(test["op"], self.called(name, test).get("value", ""))

    def called(self, name: str, test: Mapping[str, Any]) -> Mapping[str, Any]:
        """The test with its stored values as people call them."""
        known, value = self.names.values.get(name), test.get("value")
        if not known or value is None:
            return test
        say = _lowered if name in _OURS else str
        said = [say(known.get(one, one)) for one in value] if isinstance(value, list) else say(known.get(value, value))
        return {**test, "value": said}

    def compared(self, field_name: str, test: Mapping[str, Any]) -> str:
        op: str = test["op"]
        value: Any = test.get("value")
        if op == "is" and value is False:
            op = "is_not"
        if op == "older_than" and not _SOME.search(value):
            op = "by_today"
        template = OPERATORS[op][self.language]
        if op == "between":
            return template.format(field=field_name, low=self.value(value[0]), high=self.value(value[1]))
        said = self.duration(value) if op in _RELATIVE else self.values(op, value)
        return template.format(field=field_name, value=said)

    def values(self, op: str, value: Any) -> str:
        if not isinstance(value, list):
            return self.value(value)
        shown = [self.value(item) for item in value[:_SHOWN]]
        if len(value) > _SHOWN:
            shown.append(f"… ({len(value)})")
        last = shown.pop()
        joint = self.phrase("all_of" if op == "has_all" else "one_of")
        return f"{self.phrase('listed').join(shown)}{joint}{last}" if shown else last

    def value(self, value: Any) -> str:
        said = str(value) if value != "" else self.phrase("quoted", value="")
        return f"{_EDGE}{said}{_EDGE}" if self.language else said

    def duration(self, value: str) -> str:
        head, _, tail = value.partition("T")
        parts = [(number, unit) for number, unit in _DURATION.findall(head)]
        parts += [(number, f"T{unit}") for number, unit in _DURATION.findall(tail)]
        said = " ".join(self.amount(number, unit) for number, unit in parts)
        return f"{_EDGE}{said}{_EDGE}" if self.language else said

    def amount(self, number: str, unit: str) -> str:
        one, several, chinese = UNITS[unit]
        return f"{number} {chinese}" if self.language else f"{number} {one if number == '1' else several}"

    def field(self, name: str) -> str:
        return FIELDS[name][self.language] if name in FIELDS else name.removeprefix(ATTRIBUTES).removeprefix(REACHABLE)


def _as_clause(part: str) -> str:
    """An exception among alternatives: `except those in …` → `who are not in …`."""
    if not part.startswith(_EXCEPT):
        return part
    rest = part.removeprefix(_EXCEPT)
    return f"who are not those {rest}" if rest.startswith(_OPENERS) else f"who are not {rest}"


def _once(parts: Sequence[str]) -> list[str]:
    """Each `who` or `whose` alone where it differs from the one before."""
    openers = ["", *(next((one for one in _OPENERS if part.startswith(one)), "") for part in parts)]
    return [
        part.removeprefix(own) if own == last else part
        for part, last, own in zip(parts, openers[:-1], openers[1:], strict=True)
    ]


def _spaced(said: str) -> str:
    """A blank where Latin letters or digits of a value meet Chinese text, none elsewhere."""
    return _MEETING.sub(" ", said).replace(_EDGE, "")


def _listed(parts: Sequence[str], joint: str) -> str:
    return _joined(parts, ", ", f" {joint} ")


def _joined(parts: Sequence[str], comma: str, last: str) -> str:
    return last.join(one for one in (comma.join(parts[:-1]), *parts[-1:]) if one)


def _lowered(word: Any) -> str:
    """A word of our own in the middle of a sentence: `Air conditioner` → `air conditioner`, but `TV` stays."""
    text = str(word)
    return text[:1].lower() + text[1:] if text[1:2].islower() else text
