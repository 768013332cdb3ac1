"""A rule: JSON → a typed, frozen tree, or every culprit in it with its JSON path (RULES.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from runtime.errors import Invalid, Problem
from runtime.registry import Kind, Source
from segments.bucket import BUCKETS
from segments.context import WRITTEN, Limits
from segments.operators import AGGREGATES, KNOWN, OPERATORS, Takes, measure_operators
from segments.schema import PERSON, Schema
from segments.tree import Bucket, FieldTest, Group, InAudience, InSegment, Measure, Related, Rule
from segments.values import Operand, Refused, read_operand

_LARGEST_ID = 2**63 - 1
_GROUPS = ("all", "any", "none")
_MEASURES = ("count", "sum", "avg", "min", "max")
_KINDS_OF_RULE = (*_GROUPS, "field", "has", "in_segment", "in_audience", "bucket")
_KEYS = {
    "field": {"field", "op", "value"},
    "has": {"has", "where", *_MEASURES},
    "in_segment": {"in_segment"},
    "in_audience": {"in_audience"},
    "bucket": {"bucket"},
}


def parse_rule(given: object, schema: Schema, limits: Limits = WRITTEN) -> Rule:
    """The tree of a rule. Raises Invalid with one Problem per culprit, its JSON path in front."""
    reader = _Reader(schema, limits)
    found = reader.rule(given, "", PERSON, 0)
    if reader.problems:
        raise Invalid(reader.problems)
    assert found is not None
    return found


@dataclass
class _Reader:
    """Walks the JSON once and collects what is wrong; a refused part reads as None."""

    schema: Schema
    limits: Limits
    problems: list[Problem] = field(default_factory=list)
    seen: int = 0

    def refuse(self, path: str, message: str) -> None:
        self.problems.append(Problem(path, message))

    def rule(self, given: object, path: str, source: Source, depth: int) -> Rule | None:
        if not isinstance(given, Mapping):
            self.refuse(path, 'must be an object, like {"all": […]} or {"field": …, "op": …}')
            return None
        kinds = [key for key in _KINDS_OF_RULE if key in given]
        if not kinds:
            for key in given:
                self.refuse(_join(path, key), f"unknown key {key!r}")
            if not given:
                self.refuse(path, f"an empty object is no rule; it begins with one of {', '.join(_KINDS_OF_RULE)}")
            return None
        kind = kinds[0]
        self.keys(given, path, {kind} if kind in _GROUPS else _KEYS[kind])
        if kind in _GROUPS:
            return self.group(given, kind, path, source, depth)
        self.seen += 1
        if self.seen == self.limits.conditions + 1:
            self.refuse(path, f"a rule has at most {self.limits.conditions} conditions")
        if self.seen > self.limits.conditions:
            return None
        if kind == "field":
            return self.test(given, path, source)
        if source is not PERSON:
            self.refuse(_join(path, kind), f"{kind!r} cannot stand in a where, only groups and fields")
            return None
        return self.condition(given, kind, path, depth)

    def keys(self, given: Mapping[Any, Any], path: str, known: set[str]) -> None:
        for key in given:
            if key not in known:
                self.refuse(_join(path, key), f"unknown key {key!r}")

    def group(self, given: Mapping[Any, Any], kind: str, path: str, source: Source, depth: int) -> Rule | None:
        here = _join(path, kind)
        rules = given[kind]
        if not isinstance(rules, list):
            self.refuse(here, "must be a list of rules")
            return None
        if depth == self.limits.depth:
            self.refuse(path, f"groups nest to depth {self.limits.depth}")
            return None
        found = []
        for index, child in enumerate(rules):
            if self.seen > self.limits.conditions:
                break
            found.append(self.rule(child, f"{here}[{index}]", source, depth + 1))
        return Group(kind, tuple(child for child in found if child is not None), path)  # type: ignore[arg-type]

    def condition(self, given: Mapping[Any, Any], kind: str, path: str, depth: int) -> Rule | None:
        if kind == "has":
            return self.related(given, path, depth)
        if kind == "bucket":
            return self.bucket(given["bucket"], path)
        number = given[kind]
        if isinstance(number, bool) or not isinstance(number, int) or not 0 < number <= _LARGEST_ID:
            self.refuse(_join(path, kind), "must be an id")
            return None
        return InSegment(number, path) if kind == "in_segment" else InAudience(number, path)

    def test(self, given: Mapping[Any, Any], path: str, source: Source) -> FieldTest | None:
        name = given["field"]
        kind = self.field_kind(name, _join(path, "field"), source)
        if kind is None:
            self.known_operator(given, path)
            return None
        ok, op, operand = self.comparison(given, path, kind, OPERATORS[kind])
        return FieldTest(name, kind, op, operand, path) if ok else None

    def field_kind(self, name: object, path: str, source: Source) -> Kind | None:
        kind = self.schema.kind_of(source, name) if isinstance(name, str) else None
        if kind is None:
            self.refuse(path, f"unknown field {name!r}" if isinstance(name, str) else "must be the name of a field")
        return kind

    def known_operator(self, given: Mapping[Any, Any], path: str) -> bool:
        op = given.get("op")
        if "op" not in given:
            self.refuse(_join(path, "op"), "is missing")
        elif not isinstance(op, str) or op not in KNOWN:
            self.refuse(_join(path, "op"), f"unknown operator {op!r}")
        return isinstance(op, str) and op in KNOWN

    def comparison(
        self, given: Mapping[Any, Any], path: str, kind: Kind, operators: Mapping[str, Takes]
    ) -> tuple[bool, str, Operand]:
        """Whether operator and value are fine, and both."""
        refused = (False, "", None)
        if not self.known_operator(given, path):
            return refused
        op, where = str(given["op"]), _join(path, "value")
        if op not in operators:
            takes = ", ".join(operators)
            self.refuse(_join(path, "op"), f"operator {op!r} does not apply to {_SAID[kind]}, which takes {takes}")
            return refused
        if operators[op] is Takes.NOTHING:
            if "value" in given:
                self.refuse(where, f"{op!r} takes no value")
                return refused
            return True, op, None
        if "value" not in given:
            self.refuse(where, "is missing")
            return refused
        try:
            return True, op, read_operand(kind, operators[op], given["value"])
        except Refused as reason:
            self.refuse(where + reason.at, str(reason))
            return refused

    def related(self, given: Mapping[Any, Any], path: str, depth: int) -> Related | None:
        name = given["has"]
        source = self.schema.sources.get(name) if isinstance(name, str) else None
        if source is None:
            known = ", ".join(sorted(self.schema.sources))
            self.refuse(_join(path, "has"), f"unknown records {name!r}; there are {known}")
            return None
        where = self.rule(given["where"], _join(path, "where"), source, depth) if "where" in given else None
        measure = self.measure(given, path, source)
        if measure is None or ("where" in given and where is None):
            return None
        return Related(source.name, where, measure, path)

    def measure(self, given: Mapping[Any, Any], path: str, source: Source) -> Measure | None:
        named = [name for name in _MEASURES if name in given]
        if not named:
            return AT_LEAST_ONE
        if len(named) > 1:
            self.refuse(_join(path, named[1]), f"only one of {', '.join(_MEASURES)}; {named[0]} stands before")
            return None
        name, asked = named[0], given[named[0]]
        here = _join(path, name)
        if not isinstance(asked, Mapping):
            self.refuse(here, "must be an object with op and value")
            return None
        self.keys(asked, here, {"op", "value"} if name == "count" else {"field", "op", "value"})
        if name == "count":
            ok, op, operand = self.comparison(asked, here, Kind.NUMBER, measure_operators(Kind.NUMBER))
            return Measure("count", None, Kind.NUMBER, op, operand) if ok else None
        return self.aggregate(asked, name, here, source)

    def aggregate(self, asked: Mapping[Any, Any], name: str, here: str, source: Source) -> Measure | None:
        where = _join(here, "field")
        if "field" not in asked:
            self.refuse(where, "is missing")
            return None
        kind = self.field_kind(asked["field"], where, source)
        if kind is None:
            return None
        if kind not in AGGREGATES[name]:
            self.refuse(where, f"{name} does not apply to {_SAID[kind]}")
            return None
        ok, op, operand = self.comparison(asked, here, kind, measure_operators(kind))
        return Measure(name, asked["field"], kind, op, operand) if ok else None

    def bucket(self, given: object, path: str) -> Bucket | None:
        here = _join(path, "bucket")
        if not isinstance(given, Mapping):
            self.refuse(here, "must be an object with from and to")
            return None
        self.keys(given, here, {"from", "to"})
        ends = [self.bucket_end(given, here, key) for key in ("from", "to")]
        low, high = ends
        if low is None or high is None:
            return None
        if low > high:
            self.refuse(here, f"from {low} is greater than to {high}")
            return None
        return Bucket(low, high, path)

    def bucket_end(self, given: Mapping[Any, Any], here: str, key: str) -> int | None:
        value = given.get(key)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < BUCKETS:
            self.refuse(_join(here, key), f"must be a whole number from 0 to {BUCKETS - 1}")
            return None
        return value


AT_LEAST_ONE = Measure("count", None, Kind.NUMBER, "gte", read_operand(Kind.NUMBER, Takes.ONE, 1))

_SAID = {
    Kind.TEXT: "text",
    Kind.CODE: "a code",
    Kind.NUMBER: "a number",
    Kind.RANK: "a rank",
    Kind.DATE: "a date",
    Kind.INSTANT: "an instant",
    Kind.YES_NO: "a yes/no field",
    Kind.LIST: "a list",
}


def _join(path: str, key: object) -> str:
    return f"{path}.{key}" if path else str(key)
