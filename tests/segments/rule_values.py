"""The values that generated rows and rules share: few at a time and full of edges, so that rules and rows meet."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from tests.segments.rule_fields import NEVER_NULL, ROUNDED, WHOLE
from tests.segments.rule_reference import World, shifted

ZONES = [
    "Asia/Shanghai", "America/New_York", "Europe/Helsinki", "Australia/Lord_Howe", "America/Sao_Paulo",
    "Asia/Tehran", "America/Havana", "Asia/Beirut", "Pacific/Apia", "Asia/Kathmandu",
]  # fmt: skip
NOWS = [
    datetime(2026, 11, 22, 8, 0, tzinfo=UTC),
    datetime(2024, 2, 29, 16, 30, tzinfo=UTC),
    datetime(2026, 1, 29, 4, 0, tzinfo=UTC),  # 30 days before the last of February
    datetime(2025, 2, 27, 17, 0, tzinfo=UTC),
    datetime(2026, 12, 31, 16, 0, tzinfo=UTC),  # the new year begins in Shanghai
    datetime(2023, 12, 18, 9, 0, tzinfo=UTC),  # anniversaries over the turn of the year
    datetime(2027, 12, 3, 23, 0, tzinfo=UTC),
    datetime(2026, 3, 8, 7, 0, tzinfo=UTC),  # New York's clock jumps
    datetime(2026, 11, 1, 5, 30, tzinfo=UTC),  # … and is turned back
    datetime(2025, 10, 4, 15, 30, 0, 1, tzinfo=UTC),  # Lord Howe's half hour
    datetime(2018, 11, 4, 2, 59, 59, 999_999, tzinfo=UTC),  # São Paulo skips midnight
    datetime(2023, 3, 31, 20, 0, tzinfo=UTC),
    datetime(2022, 3, 21, 20, 30, tzinfo=UTC),  # Tehran skips midnight
    datetime(2025, 11, 2, 4, 59, 59, tzinfo=UTC),  # Havana's midnight comes twice
]
TEXTS = [
    "", "Xi'an", "XI'AN", "西安", "西", "ß", "SS", "ẞ", "ﬁn", "FIN", "İ", "i̇", "ı", "Σας", "ΣΑΣ", "a%b_c\\d", "A\\",
    "A", "100%", "_", "%", "\\", "Ｇｒｅｅ", "gree", "Ⅳ", "iv", "½", "㍿", "é", "e\u0301", "ǰ", "Å", " ", "a b", "가",
    "\u1100\u1161", "😀", "'; --", "ℌ", "h", "𝐀a", "℡", "Tel",
]  # fmt: skip
WORDS = ["gree", "Gree", "Midea", "", "GREE", "格力", "ＧＲＥＥ"]
CODES = ["S-1", "s-1", "", "S-1 ", "C_1", "c%", "Ｓ-1", "ß", "\\1"]
STATUSES = ["completed", "cancelled", "refunded", "partly_refunded", "pending"]
CENTS = [Decimal(text) for text in ("0", "0.1", "0.25", "1", "2", "3", "-1", "10.5")]
NUMBERS = [
    Decimal(text)
    for text in (
        *("0", "0.1", "0.2", "0.3", "1", "2", "3", "-1", "100", "99.9999", "100.0001", "3000", "99999999999999"),
        *("99999999999999.9999", "99999999999999.9998"),  # more digits than a float holds
    )
]
HUGE = ["9223372036854775808", "-99999999999999999999", "1" * 40, "0." + "0" * 39 + "1", "1e20", "0.00001"]
DURATIONS = [
    "P0D", "P1D", "P2D", "P30D", "P1M", "P1Y", "P8Y", "P2W", "P1Y1M3D", "P365D", "P364D", "P366D", "P13M", "P4Y1D",
    "P1M1W", "P20M", "P1000Y", "P6M", "P300D", "P0M",
]  # fmt: skip
CLOCKS = ["PT6H", "PT36H", "P1DT12H", "PT0.000001S", "P1MT30M", "PT0S", "PT1.5S", "P1YT24H", "PT90M"]
PATTERNS = ["^X", "i'an$", "西", "[0-9]+", "^$", "a.b", "S{2}", "gree|Gree"]
FAR = [date(1, 1, 3), date(9999, 12, 28), date(1900, 1, 1), date(1986, 7, 1), date(2000, 2, 29), date(2100, 2, 28)]
LEAP = [
    date(2024, 2, 29),
    date(2024, 2, 28),
    date(2023, 2, 28),
    date(2023, 3, 1),
    date(1992, 2, 29),
    date(1990, 12, 31),
]
_LETTERS = "aAbBℌ𝐀℡ßſKkÄä\u0308İıσςΣ西安０1Ⅷ%_\\ '\"😀\u200dǆﬃ"


class Pools:
    """The values of one world: chosen from those above, and those at the edges of its moment, zone and durations."""

    def __init__(self, world: World, rng: Random, buckets: list[int]) -> None:
        self.zone = world.zone
        self.now = world.now
        self.durations = rng.sample(DURATIONS, 4)
        self.clocks = rng.sample(CLOCKS, 2)
        self.buckets = buckets
        texts = [*rng.sample(TEXTS, 7), *rng.sample(WORDS, 2), *(_text(rng) for _ in range(2))]
        self.values: dict[str, list[Any]] = {
            "text": texts,
            "code": rng.sample(CODES, 5),
            "status": STATUSES,
            "use": ["in_use", "replaced", "disposed"],
            "state": ["queued", "sent", "delivered", "skipped"],
            "channel": ["email", "sms"],
            "purpose": ["marketing", "service"],
            "survey": ["csat", "nps"],
            "group": ["promoter", "passive", "detractor"],
            "number": rng.sample(NUMBERS, 5),
            "cents": rng.sample(CENTS, 5),
            "whole": [0, 1, 2, 3, 4, 5],
            "date": self._days(world, rng),
            "instant": self._instants(world, rng),
            "yes_no": [True, False],
            "list": [[], ["gree"], ["Gree", "Midea"], ["ß"], ["SS", "GREE"], ["Midea", "Midea", ""]],
        }

    def numbers_of(self, name: str) -> list[Decimal]:
        """The numbers that rows hold in a field."""
        found = self.values["whole" if name in WHOLE else "cents" if name in ROUNDED else "number"]
        return [Decimal(number) for number in found]

    def value(self, rng: Random, name: str, kind: str) -> Any:
        """A value of a row."""
        if name not in NEVER_NULL and rng.random() < 0.15:
            return None
        return rng.choice(self.values["whole" if name in WHOLE else "cents" if name in ROUNDED else kind])

    def row(self, rng: Random, fields: dict[str, str]) -> dict[str, Any]:
        return {name: self.value(rng, name, kind) for name, kind in fields.items()}

    def _days(self, world: World, rng: Random) -> list[date]:
        """Days at the edges of durations back and ahead, and of the leap day, each with its neighbours."""
        edges = [*rng.sample(LEAP, 2), rng.choice(FAR)]
        for duration in self.durations:
            edges += [shifted(world.today, duration, sign, world.zone) for sign in (-1, +1)]
        return [edge + timedelta(days=step) for edge in edges for step in (-1, 0, 1)]

    def _instants(self, world: World, rng: Random) -> list[datetime]:
        """Instants at the edges of now, of durations back and ahead and of local days, a microsecond around."""
        edges = [world.now]
        for duration in [*self.durations, *self.clocks]:
            edges += [shifted(world.now, duration, sign, world.zone) for sign in (-1, +1)]
        for day in [*(world.today + timedelta(days=step) for step in (-1, 0, 1, 2)), rng.choice(FAR + LEAP)]:
            edges.append(datetime(day.year, day.month, day.day, tzinfo=world.zone).astimezone(UTC))
        tick = timedelta(microseconds=1)
        return [edge + step for edge in edges for step in (-tick, tick * 0, tick)]


def moments(rng: Random) -> World:
    """A moment in a zone: one known to be difficult, or any, often near a turn of the zone's clock."""
    zone = ZoneInfo(rng.choice(ZONES))
    if rng.random() < 0.5:
        return World(rng.choice(NOWS), zone)
    year = rng.randrange(2017, 2031)
    day = rng.choice(turns(zone, year) or [datetime(year, 1, 1, tzinfo=UTC) + DAY * rng.randrange(365)])
    return World(day + timedelta(seconds=rng.randrange(-86_400, 2 * 86_400, 900)), zone)


def turns(zone: ZoneInfo, year: int) -> list[datetime]:
    """The days of a year, as beginnings of days of UTC, during which the zone's clock is turned."""
    days = [datetime(year, 1, 1, tzinfo=UTC) + DAY * number for number in range(365)]
    offsets = [day.astimezone(zone).utcoffset() for day in [*days, days[-1] + DAY]]
    return [day for day, before, after in zip(days, offsets, offsets[1:], strict=False) if before != after]


DAY = timedelta(days=1)


def _text(rng: Random) -> str:
    return "".join(rng.choice(_LETTERS) for _ in range(rng.randrange(1, 6)))
