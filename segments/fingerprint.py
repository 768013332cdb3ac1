"""What a segment's rule means: equal fingerprints, equal answers over the same records at the same moment."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from runtime.registry import Kind
from segments.schema import ATTRIBUTES


def fingerprint(segment_id: int, rules: Mapping[int, Any], kinds: Mapping[str, Kind], timezone: str) -> str:
    """Of a segment among all of them (`rules`: JSON by id): its rule, those that it refers to, of any depth, the kinds
    of the attributes that they name, and the time zone by which days are meant."""
    meant = [(number, rules.get(number)) for number in sorted(_referred(segment_id, rules))]
    named = {key: kinds.get(key) for _, rule in meant for key in _attributes(rule)}
    facts = [meant, sorted(named.items()), timezone]
    return hashlib.blake2b(json.dumps(facts, sort_keys=True).encode(), digest_size=16).hexdigest()


def _referred(segment_id: int, rules: Mapping[int, Any]) -> set[int]:
    """The ids of the segment and of all that it refers to; some may not exist."""
    found: set[int] = set()
    open_ = {segment_id}
    while open_:
        found |= open_
        named = {value for number in open_ for key, value in _pairs(rules.get(number)) if key == "in_segment"}
        open_ = {value for value in named if isinstance(value, int)} - found
    return found


def _attributes(rule: Any) -> Iterator[str]:
    for key, value in _pairs(rule):
        if key == "field" and isinstance(value, str) and value.startswith(ATTRIBUTES):
            yield value.removeprefix(ATTRIBUTES)


def _pairs(given: Any) -> Iterator[tuple[str, Any]]:
    """Every key of the objects in a JSON document with its value."""
    if isinstance(given, Mapping):
        for key, value in given.items():
            yield key, value
            yield from _pairs(value)
    elif isinstance(given, list):
        for value in given:
            yield from _pairs(value)
