"""Two overlapping circles whose areas are numbers of people."""

from __future__ import annotations

from dataclasses import dataclass
from math import acos, pi, sqrt

WIDTH, HEIGHT = 320.0, 180.0
_LEAST = 14.0  # pixels: nobody's circle is still seen
_STEPS = 40


@dataclass(frozen=True)
class Circle:
    x: float
    y: float
    radius: float


@dataclass(frozen=True)
class Venn:
    """Circles in a picture of `WIDTH` × `HEIGHT`."""

    a: Circle
    b: Circle


def venn(only_a: int, both: int, only_b: int) -> Venn:
    """The picture: areas in proportion, the shared area too; circles that share nobody stand apart."""
    first, second = sqrt((only_a + both) / pi), sqrt((only_b + both) / pi)
    apart = _distance(first, second, both)
    span = max(first, apart + second) - min(-first, apart - second)
    scale = min((WIDTH - 8) / span, (HEIGHT - 8) / (2 * max(first, second))) if span else 1.0
    left = (WIDTH - span * scale) / 2 - min(-first, apart - second) * scale
    circles = [
        Circle(round(left + at * scale, 1), HEIGHT / 2, round(max(_LEAST, radius * scale), 1))
        for at, radius in ((0.0, first), (apart, second))
    ]
    return Venn(*circles)


def _distance(first: float, second: float, shared: float) -> float:
    """How far apart the centres stand, so that the circles share that area."""
    if shared <= 0:
        return (first + second) * 1.06
    low, high = abs(first - second), first + second
    for _step in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if _lens(first, second, middle) > shared else (low, middle)
    return (low + high) / 2


def _lens(first: float, second: float, apart: float) -> float:
    """The area that two circles share."""
    if apart <= abs(first - second):
        return float(pi * min(first, second) ** 2)
    if apart >= first + second:
        return 0.0
    part = sum(
        one**2 * acos(max(-1.0, min(1.0, (apart**2 + one**2 - other**2) / (2 * apart * one))))
        for one, other in ((first, second), (second, first))
    )
    edges = (-apart + first + second) * (apart + first - second) * (apart - first + second) * (apart + first + second)
    return part - sqrt(max(0.0, edges)) / 2
