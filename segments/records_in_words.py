"""Related records in words: `own a Gree air conditioner installed more than 8 years ago`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from segments.phrases import COUNTS, HAVING, MARKS, MEASURES, Having
from segments.vocabulary import RECORDS

if TYPE_CHECKING:
    from segments.words import Speaker

_NO_SUCH = ({"op": "eq", "value": 0}, {"op": "lt", "value": 1}, {"op": "lte", "value": 0})
_AT_LEAST_ONE = ({"op": "gte", "value": 1}, {"op": "gt", "value": 0})
_NAMING = ("eq", "in")


@dataclass(frozen=True)
class Records:
    """A `has` condition, to be said by `speaker`."""

    speaker: Speaker
    rule: Mapping[str, Any]

    def clause(self) -> str:
        measure = next((name for name in MEASURES if name in self.rule), None)
        asked: Any = self.rule.get(measure or "")
        if measure is None or asked in _AT_LEAST_ONE:
            return self._who(self._having().some, self._one())
        if asked in _NO_SUCH:
            return self._who(self._having().none, self._bare(self._noun(one=True)))
        if measure == "count":
            return self._who(self._having().some, self._counted(asked))
        field_name = self.speaker.field(asked["field"])
        measured = MEASURES[measure][self.speaker.language].format(field=field_name, records=self._several())
        return self.speaker.phrase("whose", value=self.speaker.compared(measured, asked))

    def _having(self) -> Having:
        source: str = self.rule["has"]
        one, several, chinese = RECORDS.get(source, (source, source, source))
        bare = one.removeprefix("an ").removeprefix("a ")
        plain = Having(("have", "有"), ("have no", "没有"), (bare, chinese), (several, chinese))
        return HAVING.get(source, plain)

    def _who(self, verb: tuple[str, str], records: str) -> str:
        said = verb[self.speaker.language]
        return f"{said}{records}" if self.speaker.language else f"who {said} {records}"

    def _one(self) -> str:
        said = self._bare(self._noun(one=True))
        if self.speaker.language:
            return said
        return f"{'an' if said[:1].lower() in 'aeiou' else 'a'} {said}"

    def _several(self) -> str:
        return self._bare(self._noun(one=False))

    def _counted(self, asked: Mapping[str, Any]) -> str:
        value, speaker = asked["value"], self.speaker
        pair = isinstance(value, list) and len(value) == 2
        number = COUNTS[asked["op"]][speaker.language].format(
            value=speaker.values(asked["op"], value),
            low=speaker.value(value[0]) if pair else "",
            high=speaker.value(value[1]) if pair else "",
        )
        return speaker.phrase("number_of", number=number, noun=self._bare(self._noun(one=value == 1)))

    def _noun(self, *, one: bool) -> str:
        """What they are: `Gree air conditioner`, `order`."""
        kind, brand = self._value("category"), self._value("brand")
        having = self._having()
        noun = kind if one or self.speaker.language else _plural(kind)
        noun = noun or (having.one if one else having.several)[self.speaker.language]
        return f"{brand}{'' if self.speaker.language or not brand else ' '}{noun}"

    def _bare(self, noun: str) -> str:
        """The noun with all that marks it."""
        marks = [self._mark(one) for one in self._conditions() if not self._names(one)]
        if not marks:
            return noun
        if self.speaker.language:
            return f"{'、'.join(marks)}的{noun}"
        return f"{noun} {' and '.join(marks)}"

    def _conditions(self) -> list[Mapping[str, Any]]:
        where = self.rule.get("where", {"all": []})
        return list(where["all"]) if "all" in where else [where]

    def _names(self, test: Mapping[str, Any]) -> bool:
        """Whether the test says what the records are: their first category, their first brand."""
        if test.get("field") not in ("category", "brand") or test.get("op") not in _NAMING:
            return False
        first = next(one for one in self._conditions() if one.get("field") == test["field"] and one["op"] in _NAMING)
        return first is test

    def _value(self, name: str) -> str:
        test = next((one for one in self._conditions() if one.get("field") == name and self._names(one)), None)
        return self.speaker.operand(name, test) if test else ""

    def _mark(self, rule: Mapping[str, Any], nested: bool = False) -> str:
        for kind in ("all", "any", "none"):
            if kind in rule:
                return self._marks(kind, rule[kind], nested)
        op = "is_not" if rule["op"] == "is" and rule["value"] is False else rule["op"]
        words = MARKS.get((rule["field"], op))
        if words and not (op == "older_than" and rule["value"].strip("PTYMWDHS0") == ""):
            return words[self.speaker.language].format(value=self.speaker.operand(rule["field"], rule))
        said = self.speaker.compared(self.speaker.field(rule["field"]), self.speaker.called(rule["field"], rule))
        return self.speaker.phrase("whose", value=said)

    def _marks(self, kind: str, rules: list[Mapping[str, Any]], nested: bool) -> str:
        if not rules:
            said = self.speaker.phrase("never" if kind == "any" else "everybody")
            return said if self.speaker.language else "that do not exist" if kind == "any" else "of any kind"
        chinese = bool(self.speaker.language)
        joint = ("，且" if chinese else " and ") if kind == "all" else ("，或" if chinese else " or ")
        said = joint.join(self._mark(one, nested=len(rules) > 1) for one in rules)
        if kind == "none":
            return self.speaker.phrase("not", rule=said) if chinese else f"but not ones {said}"
        return self.speaker.phrase("brackets", rule=said) if nested and len(rules) > 1 else said


def _plural(noun: str) -> str:
    """English: several of what is called so."""
    if not noun or not noun[-1:].isascii() or not noun[-1:].isalpha():
        return noun
    if noun.endswith(("s", "x", "ch", "sh")):
        return f"{noun}es"
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return f"{noun[:-1]}ies"
    return f"{noun}s"
