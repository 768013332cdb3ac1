"""Answers of servers, alike ones as one."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from tracking.answers import alike, codes, like

ALIKE = [
    (
        "550 5.1.1 …: Recipient address rejected: User unknown",
        "550 5.1.1 <p12@example.com>: Recipient address rejected: User unknown",
        "550 5.1.1 <wang.li@mail.example.cn>: Recipient address rejected: User unknown",
        "550-5.1.1 p7@x.example: Recipient address rejected: User unknown",
    ),
    (
        "450 4.2.1 The user is receiving mail too quickly. … - gsmtp",
        "450 4.2.1 The user is receiving mail too quickly. https://support.example/?p=1 d9443c01a7336-2a si123 - gsmtp",
        "450 4.2.1 The user is receiving mail too quickly. https://support.example/?p=2 aa43c01a7336-99 si99 - gsmtp",
    ),
    (
        "421 … try again in … seconds",
        "421 mx1.qq.com try again in 300 seconds",
        "421 mx22.qq.com try again in 5 seconds",
    ),
    (
        "in doubt: connection lost after …",
        "in doubt: connection lost after 12.5s",
        "in doubt: connection lost after 9s",
    ),
    ("given up: 451 4.7.1 Greylisted, back in …", "given up: 451 4.7.1 Greylisted, back in 00:05:00"),
    ("554 Message rejected for policy reasons [ID …", "554 Message rejected for policy reasons [ID 4XyZ12abC]"),
    ("Hallo Wörld", "Hallo Wörld"),
    ("", "", "   "),
]


@pytest.mark.parametrize("case", ALIKE, ids=lambda case: str(case[0])[:30])
def test_what_differs_from_one_message_to_the_next_is_taken_out(case: tuple[str, ...]) -> None:
    told, *answers = case
    assert [alike(answer) for answer in answers] == [told] * len(answers)


WORDS = st.sampled_from(
    [
        "User",
        "unknown:",
        "<a1@b.c>",
        "…",
        "550",
        "5.1.1",
        "421-",
        "4.7.0",
        "in",
        "doubt:",
        "given up:",
        "x" * 41,
        "²",
        "e.g.",
    ]
)
ANSWERS = st.one_of(st.text(max_size=200), st.lists(WORDS, max_size=60).map(" ".join))


@given(ANSWERS)
@example("a: 550")
@example("550 5.1.1")
@example("5505.1.1 x")
@example("550  550 x")
@example("550 5.1.1 4.4.4 x")
def test_once_is_enough(answer: str) -> None:
    once = alike(answer)
    assert alike(once) == once


CODE = st.sampled_from(["", "421", "450", "451", "550", "554"])
ENHANCED = st.sampled_from(["", "4.2.1", "4.7.0", "5.1.1", "5.7.26", "5.7.2"])


@given(CODE, ENHANCED, CODE, ENHANCED, st.text(max_size=60), st.sampled_from(["", "in doubt: ", "given up: "]))
def test_codes_never_mix(code: str, enhanced: str, other: str, other_enhanced: str, words: str, prefix: str) -> None:
    one = f"{prefix}{' '.join(filter(None, (code, enhanced, 'said:')))} {words}"
    two = f"{prefix}{' '.join(filter(None, (other, other_enhanced, 'said:')))} {words}"
    assert (alike(one) == alike(two)) == ((code, enhanced) == (other, other_enhanced))
    assert codes(one) == (code, enhanced)
    assert codes(alike(one)) == codes(one)


@given(ANSWERS, st.integers(0, 80))
@example("550-5.1.1 <a1@b.c>: 100% _full_ \\ here", 80)
def test_the_messages_of_an_answer_are_found_again(answer: str, shown: int) -> None:
    told = alike(answer)
    for asked in (told, told[:shown]):  # the whole of it, or as much as is shown
        assert fits(like(asked), answer)


async def test_the_database_reads_the_pattern_so_too(conn: AsyncConnection) -> None:
    cases = [("550-5.1.1 <a1@b.c>: 100% _full_ \\ here", True), ("554 5.1.1 x: 100% _full_ \\ here", False)]
    pattern = like(alike(cases[0][0]))
    for answer, expected in cases:
        found = await conn.scalar(
            text("SELECT CAST(:answer AS text) LIKE :pattern"), {"answer": answer, "pattern": pattern}
        )
        assert found is expected


def fits(pattern: str, answer: str) -> bool:
    """As LIKE reads a pattern of `%` and escapes."""
    parts = re.split(r"(\\.|%)", pattern, flags=re.DOTALL)
    regex = "".join(
        ".*" if part == "%" else re.escape(part.removeprefix("\\") if len(part) == 2 else part) for part in parts
    )
    return re.fullmatch(regex, answer.strip(), re.DOTALL) is not None
