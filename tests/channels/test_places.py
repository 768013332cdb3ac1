"""Places in turns: nobody gets one too many, none is lost, and who began goes on before the next one begins."""

from __future__ import annotations

import asyncio
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from channels.places import TURN, Guest, Places


async def _queued(places: Places, *guests: Guest) -> tuple[list[Guest], list[asyncio.Task[None]]]:
    """Who got a place, in that order; those who ask, one after another."""
    served: list[Guest] = []

    async def ask(guest: Guest) -> None:
        await places.take(guest)
        served.append(guest)

    tasks = [asyncio.create_task(ask(guest)) for guest in guests]
    await asyncio.sleep(0)
    return served, tasks


async def _give_back(places: Places, times: int) -> None:
    for _ in range(times):
        places.give_back()
        await asyncio.sleep(0)


async def test_who_came_first_is_served_whole_however_their_questions_mix() -> None:
    first, second, places = Guest(), Guest(), Places(1)
    served, _ = await _queued(places, Guest(), second, first, second, first)
    await _give_back(places, 4)
    assert served[1:] == [first, first, second, second]


def test_a_turn_ends_and_the_other_has_one() -> None:
    first, second = Guest(), Guest()
    first.served(100.0)
    assert first.order(100.0 + TURN / 2) < second.order(100.0 + TURN / 2)
    second.served(100.0 + TURN)
    assert second.order(100.0 + TURN * 1.5) < first.order(100.0 + TURN * 1.5)
    assert first.order(100.0 + TURN * 2.5) < second.order(100.0 + TURN * 2.5)


async def test_a_higher_rank_goes_first() -> None:
    low, high, places = Guest(), Guest(rank=1), Places(1)
    served, _ = await _queued(places, Guest(), low, low, high)
    await _give_back(places, 3)
    assert served[1:] == [high, low, low]


async def test_who_gives_up_takes_no_place_along() -> None:
    places = Places(1)
    served, tasks = await _queued(places, Guest(), Guest(), Guest())
    tasks[1].cancel()
    places.give_back()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert len(served) == 2
    assert not places.wanted


async def test_who_gives_up_at_the_moment_of_getting_one_hands_it_on() -> None:
    places = Places(1)
    served, tasks = await _queued(places, Guest(), Guest(), Guest())
    places.give_back()
    tasks[1].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert len(served) == 2
    assert not places.wanted


@given(
    limit=st.integers(1, 4),
    steps=st.lists(st.tuples(st.sampled_from(["take", "give", "cancel"]), st.integers(0, 7)), max_size=60),
)
def test_places_are_neither_lost_nor_made(limit: int, steps: list[tuple[str, int]]) -> None:
    asyncio.run(_play(limit, steps))


async def _play(limit: int, steps: list[tuple[str, int]]) -> None:
    guests, places, got = [Guest(rank=number % 2) for number in range(3)], Places(limit), Counter[str]()
    tasks: list[asyncio.Task[None]] = []

    async def ask(guest: Guest) -> None:
        await places.take(guest)
        got["taken"] += 1

    for what, number in steps:
        if what == "take":
            tasks.append(asyncio.create_task(ask(guests[number % 3])))
        elif what == "give" and got["taken"] > got["given"]:
            got["given"] += 1
            places.give_back()
        elif what == "cancel" and tasks:
            tasks[number % len(tasks)].cancel()
        if number % 2:
            await asyncio.sleep(0)
        assert got["taken"] - got["given"] <= limit
    while got["taken"] > got["given"] or any(not task.done() for task in tasks):
        await asyncio.sleep(0)
        if got["taken"] > got["given"]:
            got["given"] += 1
            places.give_back()
    assert not places.wanted
    for _ in range(limit):  # every place is there again
        await asyncio.wait_for(places.take(Guest()), timeout=5)
