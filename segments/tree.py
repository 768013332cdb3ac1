"""The tree of a rule: typed, frozen, every node with its JSON path."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from runtime.registry import Kind
from segments.values import Operand


@dataclass(frozen=True)
class Group:
    """`all`, `any` or `none` of its rules."""

    kind: Literal["all", "any", "none"]
    rules: tuple[Rule, ...]
    path: str = ""


@dataclass(frozen=True)
class FieldTest:
    """One field of the customer, or inside a `where` of the record, against an operand."""

    name: str
    kind: Kind
    op: str
    operand: Operand
    path: str = ""


@dataclass(frozen=True)
class Measure:
    """What is asked of the matching records: their `count`, or an aggregate of `field`, against a number or time."""

    name: str
    field: str | None
    kind: Kind
    op: str
    operand: Operand


@dataclass(frozen=True)
class Related:
    """Something the customer has: the records of `source` that match `where`, measured."""

    source: str
    where: Rule | None
    measure: Measure
    path: str = ""


@dataclass(frozen=True)
class InSegment:
    segment_id: int
    path: str = ""


@dataclass(frozen=True)
class InAudience:
    audience_id: int
    path: str = ""


@dataclass(frozen=True)
class Bucket:
    """The customer's permanent bucket, `low` to `high`, both included."""

    low: int
    high: int
    path: str = ""


Rule = Group | FieldTest | Related | InSegment | InAudience | Bucket
Condition = FieldTest | Related | InSegment | InAudience | Bucket


def conditions(rule: Rule) -> Iterator[Condition]:
    """The conditions about the customer, in the order written; what stands in a `where` is about records."""
    if isinstance(rule, Group):
        for child in rule.rules:
            yield from conditions(child)
    else:
        yield rule


def tests(rule: Rule | None) -> Iterator[FieldTest]:
    """Every field test of a rule, those inside a `where` too."""
    if isinstance(rule, Group):
        for child in rule.rules:
            yield from tests(child)
    elif isinstance(rule, Related):
        yield from tests(rule.where)
    elif isinstance(rule, FieldTest):
        yield rule


def size(rule: Rule) -> tuple[int, int]:
    """Depth of nested groups and number of conditions, those in a `where` included."""
    if isinstance(rule, Group):
        parts = [size(child) for child in rule.rules]
        return 1 + max((depth for depth, _ in parts), default=0), sum(count for _, count in parts)
    if isinstance(rule, Related) and rule.where is not None:
        depth, count = size(rule.where)
        return depth, count + 1
    return 0, 1
