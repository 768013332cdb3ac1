"""SQL and a plain Python reading of RULES.md give the same answers, for generated rules over generated rows.

2,000 rules in an ordinary run, 50,000 with HEARTH_SOAK=1 (`make soak`), or as many as HEARTH_RULE_CASES says.
"""

from __future__ import annotations

import math
import os
from random import Random

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.fields import FIELDS
from runtime.registry import channel_kinds, sources
from runtime.text import fold
from tests.segments import rule_reference as reference
from tests.segments.rule_answers import SOAK, Case
from tests.segments.rule_difference import first_difference
from tests.segments.rule_fields import CUSTOMER_FIELDS, RECORD_COLUMNS
from tests.segments.rule_maker import SEGMENTS, THEMES, Maker, Theme, add_segments
from tests.segments.rule_values import moments
from tests.segments.rule_worlds import people

CASES = int(os.environ.get("HEARTH_RULE_CASES", "50000" if SOAK else "2000"))
RULES_PER_WORLD = 25
PEOPLE = 24
WORLDS = math.ceil(CASES / RULES_PER_WORLD / len(THEMES))


@pytest.mark.parametrize("theme", THEMES)
@settings(
    max_examples=WORLDS,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],  # a world is too large for hypothesis to shrink; `smallest` does
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(seed=st.integers(0, 2**32))
async def test_answers_agree(conn: AsyncConnection, theme: Theme, seed: int) -> None:
    """Rows and rules come from a seed, which hypothesis never gives twice: rules that it chose itself repeated for the
    most part."""
    rng = Random(f"{theme} {seed}")
    world = moments(rng)
    rows, pools = people(rng, world, PEOPLE)
    maker = Maker(rng, pools, theme, SEGMENTS)
    add_segments(world, maker)
    cases = [Case(maker.rule(), rows, world, rng) for _ in range(RULES_PER_WORLD)]
    found = await first_difference(conn, cases)
    assert found is None, found


def test_every_field_is_asked_for() -> None:
    """Whoever adds a field to the language adds it to the generated rules."""
    assert {name for name in CUSTOMER_FIELDS if "." not in name or name.startswith("rfm.")} == {*FIELDS}
    assert {name: {*found.fields} for name, found in sources().items()} == {
        name: {*fields} for name, fields in RECORD_COLUMNS.items()
    }
    assert {name for name in CUSTOMER_FIELDS if name.startswith("reachable.")} == {
        f"reachable.{name}" for name in channel_kinds()
    }


def test_every_letter_is_folded_as_the_document_says() -> None:
    letters = [chr(number) for number in range(0x2_0000) if not 0xD800 <= number < 0xE000]
    assert [letter for letter in letters if fold(letter) != reference.fold(letter)] == []
    assert [letter for letter in letters if fold(fold(letter)) != fold(letter)] == []
