"""Floods of forged tokens wait; a second later all is as before."""

from __future__ import annotations

from web.forgeries import AT_ONCE, WAIT, Forgeries


def test_so_many_a_second_are_answered_at_once() -> None:
    forgeries = Forgeries()
    assert [forgeries.wait(7.1) for _ in range(AT_ONCE)] == [0.0] * AT_ONCE
    assert forgeries.wait(7.9) == WAIT
    assert forgeries.wait(8.0) == 0.0
