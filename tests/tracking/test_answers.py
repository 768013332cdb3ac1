"""Answers of servers, alike ones as one."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tracking.answers import alike, codes

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
