"""A rule as a sentence, in English or Chinese: `Customers: city is 西安 or 咸阳 and has an appliance with …`.

Takes the JSON of a rule that was accepted; it explains, it does not check.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from runtime.registry import Kind
from segments import operators
from segments.operators import Takes
from segments.schema import ATTRIBUTES, REACHABLE
from segments.vocabulary import CHANNELS, FIELDS, LANGUAGES, MEASURES, OPERATORS, PHRASES, RECORDS, UNITS

_SHOWN = 5
_NO_SUCH = ({"op": "eq", "value": 0}, {"op": "lt", "value": 1}, {"op": "lte", "value": 0})
_RELATIVE = {name for name, takes in operators.OPERATORS[Kind.INSTANT].items() if takes is Takes.DURATION}
_SOME = re.compile(r"[1-9]")
_DURATION = re.compile(r"([\d.]+)([YMWDHS])")


@dataclass(frozen=True)
class Names:
    """What segments and audiences are called, by id; stored values, by field (`{"status": {"in_use": "In use"}}`)."""

    segments: Mapping[int, str] = field(default_factory=dict)
    audiences: Mapping[int, str] = field(default_factory=dict)
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def rule_in_words(rule: Mapping[str, Any], language: str = "en", names: Names | None = None) -> str:
    """The sentence. A language other than `en` and `zh` is English."""
    speaker = _Speaker(LANGUAGES.index(language) if language in LANGUAGES else 0, names or Names())
    if rule == {"all": []} or rule == {"none": []}:
        return speaker.phrase("everyone")
    if rule == {"any": []}:
        return speaker.phrase("nobody")
    return speaker.phrase("customers", rule=speaker.rule(rule))


@dataclass(frozen=True)
class _Speaker:
    language: int
    names: Names

    def phrase(self, key: str, **values: str) -> str:
        return PHRASES[key][self.language].format(**values)

    def rule(self, rule: Mapping[str, Any], nested: bool = False) -> str:
        for kind in ("all", "any", "none"):
            if kind in rule:
                return self.group(kind, rule[kind], nested)
        if "field" in rule:
            return self.test(rule["field"], rule)
        if "has" in rule:
            return self.related(rule)
        if "bucket" in rule:
            return self.phrase("bucket", low=f"{rule['bucket']['from']:,}", high=f"{rule['bucket']['to']:,}")
        key = "in_segment" if "in_segment" in rule else "in_audience"
        known = self.names.segments if key == "in_segment" else self.names.audiences
        return self.phrase(key, value=self.phrase("quoted", value=known.get(rule[key], str(rule[key]))))

    def group(self, kind: str, rules: Sequence[Mapping[str, Any]], nested: bool) -> str:
        if not rules:
            return self.phrase("never" if kind == "any" else "always")
        parts = [self.rule(child, nested=len(rules) > 1 or kind == "none") for child in rules]
        joined = self.phrase("and" if kind == "all" else "or").join(parts)
        if kind == "none":
            return self.phrase("none", rule=joined)
        return self.phrase("brackets", rule=joined) if nested and len(rules) > 1 else joined

    def test(self, name: str, test: Mapping[str, Any]) -> str:
        if name.startswith(REACHABLE) and test["op"] == "is":
            channel = name.removeprefix(REACHABLE)
            said = CHANNELS[channel][self.language] if channel in CHANNELS else channel
            return self.phrase("reachable" if test["value"] else "not_reachable", value=said)
        return self.compared(self.field(name), self.called(name, test))

    def called(self, name: str, test: Mapping[str, Any]) -> Mapping[str, Any]:
        """The test with its stored values as people call them."""
        known, value = self.names.values.get(name), test.get("value")
        if not known or value is None:
            return test
        said = [known.get(one, one) for one in value] if isinstance(value, list) else known.get(value, value)
        return {**test, "value": said}

    def compared(self, field_name: str, test: Mapping[str, Any]) -> str:
        op: str = test["op"]
        value: Any = test.get("value")
        if op == "is" and value is False:
            op = "is_not"
        template = OPERATORS[op][self.language]
        if op == "between":
            return template.format(field=field_name, low=self.value(value[0]), high=self.value(value[1]))
        if op == "older_than" and not _SOME.search(value):
            return self.phrase("by_today", field=field_name)
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
        return str(value) if value != "" else self.phrase("quoted", value="")

    def duration(self, value: str) -> str:
        head, _, tail = value.partition("T")
        parts = [(number, unit) for number, unit in _DURATION.findall(head)]
        parts += [(number, f"T{unit}") for number, unit in _DURATION.findall(tail)]
        return " ".join(self.amount(number, unit) for number, unit in parts)

    def amount(self, number: str, unit: str) -> str:
        one, several, chinese = UNITS[unit]
        return f"{number} {chinese}" if self.language else f"{number} {one if number == '1' else several}"

    def related(self, rule: Mapping[str, Any]) -> str:
        one, many, chinese = RECORDS.get(rule["has"], (rule["has"], rule["has"], rule["has"]))
        several = chinese if self.language else many
        where = self.rule(rule["where"]) if rule.get("where", {"all": []}) != {"all": []} else ""
        measure = next((name for name in MEASURES if name in rule), None)
        if measure is None or rule.get("count") == {"op": "gte", "value": 1}:
            return self.phrase("has_where" if where else "has", one=one, many=several, where=where)
        if rule.get("count") in _NO_SUCH:
            return self.phrase("has_no_where" if where else "has_no", many=several, where=where)
        records = self.phrase("records_where", many=several, where=where) if where else several
        field_name = self.field(rule[measure]["field"]) if measure != "count" else ""
        measured = MEASURES[measure][self.language].format(field=field_name, records=records)
        return self.compared(measured, rule[measure])

    def field(self, name: str) -> str:
        return FIELDS[name][self.language] if name in FIELDS else name.removeprefix(ATTRIBUTES).removeprefix(REACHABLE)
