"""Who lives where and who looks after them: dealers, salespeople, households and their people."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from demo.market import PLATFORMS
from demo.names import draw_email, draw_name, draw_phone
from demo.places import CITY, COMMUNITIES, Community, home_address

Record = dict[str, Any]
ZONE = ZoneInfo("Asia/Shanghai")
SALESPEOPLE = 10
DEALERS: tuple[Record, ...] = (
    {"code": "XA-CA", "name": "西安长安家电有限公司", "phone": "02988000101", "city": CITY},
    {"code": "XA-WY", "name": "西安未央路家电广场", "phone": "02988000102", "city": CITY},
)
TAGS = ("老客户", "装修户", "学区房", "团购", "价格敏感", "重视售后", "高端", "转介绍")
CONSENT_SOURCES = ("门店登记", "安装签字", "微信商城", "官网注册")


@dataclass(frozen=True)
class Salesperson:
    """`diligence` from 0 to 1: how many of the homes this person really visits."""

    code: str
    diligence: float
    record: Record


@dataclass(frozen=True)
class Household:
    """One home; `customer` is the external id of its first person, `number` counts from 0."""

    number: int
    customer: str
    community: Community
    address: str
    salesperson: Salesperson
    size: int
    moved_in: date


def draw_salespeople(rng: Random) -> list[Salesperson]:
    return [_salesperson(rng, index) for index in range(SALESPEOPLE)]


def draw_households(rng: Random, count: int, salespeople: list[Salesperson], today: date) -> list[Household]:
    """`count` homes, community by community, so that the homes of one salesperson lie together."""
    homes = []
    for number, (community, index) in enumerate(_homes(count)):
        years = min(rng.betavariate(1.8, 1.0) * community.built, 18)
        homes.append(
            Household(
                number=number,
                customer=f"XA{number + 1:06d}",
                community=community,
                address=home_address(community, index),
                salesperson=salespeople[number * len(salespeople) // count],
                size=rng.choices((1, 2, 3, 4, 5, 6), weights=(12, 24, 34, 18, 9, 3))[0],
                moved_in=today - timedelta(days=int(years * 365.25) + 20),
            )
        )
    return homes


def draw_customers(rng: Random, home: Household, today: date) -> Iterator[Record]:
    """The person that the dealer knows, and in one of eleven homes of two and more the spouse as well."""
    gender = rng.choices(("male", "female"), weights=(45, 55))[0]
    age = min(max(rng.gauss(46, 13), 24), 84)
    phone = draw_phone(rng, home.number + 1)
    yield _customer(rng, home, home.customer, gender, age, phone, today)
    if home.size >= 2 and rng.random() < 1 / 11:
        other = "female" if gender == "male" else "male"
        shared = phone if rng.random() < 0.6 else draw_phone(rng, home.number + 5_003)
        yield _customer(rng, home, f"{home.customer}-2", other, min(max(age + rng.gauss(0, 3), 24), 84), shared, today)


def community_records() -> list[Record]:
    return [
        {"code": one.code, "name": one.name, "city": CITY, "district": one.district, "address": one.address}
        for one in COMMUNITIES
    ]


def at_hour(rng: Random, day: date, first: int = 9, last: int = 20) -> datetime:
    """Some minute of `day` between two hours of the shop's clock."""
    clock = time(rng.randint(first, last), rng.randrange(60), rng.randrange(60))
    return datetime.combine(day, clock, ZONE)


def _salesperson(rng: Random, index: int) -> Salesperson:
    name = draw_name(rng, rng.choice(("male", "female")))
    code = f"S{index + 1:03d}"
    record = {
        "code": code,
        "name": str(name),
        "phone": f"1880000{8001 + index}",
        "email": f"{name.given_pinyin}.{name.surname_pinyin}@dealer{index + 1}.example",
        "dealer": DEALERS[index * len(DEALERS) // SALESPEOPLE]["code"],
    }
    return Salesperson(code, 0.55 + 0.45 * rng.random(), record)


def _homes(count: int) -> Iterator[tuple[Community, int]]:
    """Each home's community and its index there: communities in turn, by their share of `count`."""
    passed = 0
    for community in COMMUNITIES:
        first = passed * count // 100
        passed += community.share
        for index in range(passed * count // 100 - first):
            yield community, index


def _customer(
    rng: Random, home: Household, external_id: str, gender: str, age: float, phone: str, today: date
) -> Record:
    name = draw_name(rng, gender)
    known_since = max(home.moved_in, today - timedelta(days=rng.randrange(30, 1500)))
    number = home.number + 1 + (500_000 if external_id.endswith("-2") else 0)
    has_email = rng.random() < (0.95 if age < 60 else 0.8)
    return {
        "external_id": external_id,
        "name": str(name),
        "email": draw_email(rng, name, number) if has_email else None,
        "phone": phone,
        "gender": gender,
        "birthday": _birthday(rng, age, today),
        "city": CITY,
        "district": home.community.district,
        "community": home.community.code,
        "address": home.address,
        "household_size": home.size,
        "language": "zh",
        "salesperson": home.salesperson.code,
        "dealer": home.salesperson.record["dealer"],
        "platform": rng.choices([name for name, _ in PLATFORMS], weights=[share for _, share in PLATFORMS])[0],
        "tags": sorted(rng.sample(TAGS, rng.choices((0, 1, 2), weights=(60, 30, 10))[0])),
        "consents": _consents(rng, known_since, today),
    }


def _birthday(rng: Random, age: float, today: date) -> str | None:
    if rng.random() < 0.3:
        return None
    return (today - timedelta(days=int(age * 365.25) + rng.randrange(365))).isoformat()


def _consents(rng: Random, since: date, today: date) -> list[Record]:
    """Nine of ten agreed to e-mail; some took it back; the rest was never asked."""
    draw = rng.random()
    if draw < 0.06:
        return []
    agreed = at_hour(rng, since)
    source = rng.choice(CONSENT_SOURCES)
    entries = [_consent(True, source, agreed)]
    if draw < 0.10:
        days = max((today - since).days, 2)
        entries.append(_consent(False, "电话退订", agreed + timedelta(days=rng.randrange(1, days), minutes=7)))
    return entries


def _consent(granted: bool, source: str, at: datetime) -> Record:
    return {
        "channel": "email",
        "purpose": "marketing",
        "granted": granted,
        "source": source,
        "at": at.isoformat(),
        "text_version": "2024-01" if granted else None,
    }
