"""What a rule refers to: other segments and audiences. They must exist, form no cycle, and stay small."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, any_, literal, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from runtime.errors import Invalid, Problem
from segments.context import EXPANDED, Limits
from segments.models import audiences, segments
from segments.rule import parse_rule
from segments.schema import Schema
from segments.tree import Group, InAudience, InSegment, Rule, conditions, size

MOST_SEGMENTS = 100
_GROUPS = ("all", "any", "none")


@dataclass(frozen=True)
class Referred:
    """A segment that a rule refers to: its rule as kept, and read."""

    given: Any
    rule: Rule


async def load_references(
    conn: AsyncConnection, rule: Rule, schema: Schema, own_id: int | None = None
) -> dict[int, Referred]:
    """All segments that `rule` (of segment `own_id`) refers to, of any depth.

    Raises Invalid for what does not exist, leads in a circle or is too large.
    """
    await _check_audiences(conn, rule)
    found: dict[int, Referred] = {}
    missing = {node.segment_id for node in _segments(rule)}
    while missing:
        rows = (await conn.execute(select(segments.c.id, segments.c.rule).where(_among(segments.c.id, missing)))).all()
        _check_segments(rule, missing - {row.id for row in rows})
        found |= {row.id: Referred(row.rule, _parsed(row.id, row.rule, schema)) for row in rows}
        if len(found) > MOST_SEGMENTS:
            raise Invalid(f"the rule refers to more than {MOST_SEGMENTS} segments")
        missing = {node.segment_id for row in rows for node in _segments(found[row.id].rule)} - found.keys()
    rules = {number: referred.rule for number, referred in found.items()}
    _check_circles(rule, rules, own_id)
    _check_size(rule, rules)
    return found


def written_out(given: Any, rules: Mapping[int, Referred]) -> Any:
    """The JSON of a rule with the JSON of each segment in the place of its `in_segment`."""
    if "in_segment" in given:
        return written_out(rules[given["in_segment"]].given, rules)
    return {
        key: [written_out(rule, rules) for rule in value] if key in _GROUPS else value for key, value in given.items()
    }


def _check_circles(rule: Rule, found: Mapping[int, Rule], own_id: int | None) -> None:
    clean: set[int] = set()
    for node in _segments(rule):
        chain = _cycle(node.segment_id, found, () if own_id is None else (own_id,), clean)
        if chain:
            shown = " → ".join(str(number) for number in chain)
            raise Invalid(Problem(_at(node), f"the segments refer to each other in a circle: {shown}"))


def _check_size(rule: Rule, found: Mapping[int, Rule]) -> None:
    depth, count = _expanded(rule, found, {})
    if depth > EXPANDED.depth or count > EXPANDED.conditions:
        what = f"{count} conditions in groups of depth {depth}"
        most = f"at most {EXPANDED.conditions} and {EXPANDED.depth}"
        raise Invalid(f"with the segments that it refers to, the rule has {what}; {most}")


def _segments(rule: Rule) -> Iterable[InSegment]:
    return (node for node in conditions(rule) if isinstance(node, InSegment))


def _among(column: Any, ids: Iterable[int]) -> Any:
    return column == any_(literal(sorted(ids), ARRAY(BigInteger)))


def _parsed(segment_id: int, given: object, schema: Schema) -> Rule:
    try:
        return parse_rule(given, schema, Limits())
    except Invalid as invalid:
        raise Invalid(f"segment {segment_id} is no longer valid: {invalid}") from None


async def _check_audiences(conn: AsyncConnection, rule: Rule) -> None:
    asked = {node.audience_id: node for node in conditions(rule) if isinstance(node, InAudience)}
    if asked:
        known = set(await conn.scalars(select(audiences.c.id).where(_among(audiences.c.id, asked))))
        gone = [node for number, node in asked.items() if number not in known]
        if gone:
            raise Invalid([Problem(_at(node), f"there is no audience {node.audience_id}") for node in gone])


def _check_segments(rule: Rule, gone: set[int]) -> None:
    if gone:
        named = [node for node in _segments(rule) if node.segment_id in gone]
        raise Invalid([Problem(_at(node), f"there is no segment {node.segment_id}") for node in named])


def _cycle(segment_id: int, found: Mapping[int, Rule], chain: tuple[int, ...], clean: set[int]) -> tuple[int, ...]:
    """The ids from a segment back to itself, if `segment_id` behind `chain` leads to one; else it joins `clean`."""
    if segment_id in chain:
        return (*chain[chain.index(segment_id) :], segment_id)
    if segment_id not in clean:
        for node in _segments(found[segment_id]):
            cycle = _cycle(node.segment_id, found, (*chain, segment_id), clean)
            if cycle:
                return cycle
        clean.add(segment_id)
    return ()


def _expanded(rule: Rule, found: Mapping[int, Rule], known: dict[int, tuple[int, int]]) -> tuple[int, int]:
    """Depth and number of conditions of a rule written out."""
    if isinstance(rule, Group):
        parts = [_expanded(child, found, known) for child in rule.rules]
        return 1 + max((depth for depth, _ in parts), default=0), sum(count for _, count in parts)
    if isinstance(rule, InSegment):
        if rule.segment_id not in known:
            known[rule.segment_id] = _expanded(found[rule.segment_id], found, known)
        return known[rule.segment_id]
    return size(rule)


def _at(node: InSegment | InAudience) -> str:
    key = "in_segment" if isinstance(node, InSegment) else "in_audience"
    return f"{node.path}.{key}" if node.path else key
