"""Eight residential communities (小区) of Xi'an; their names are made up, the streets are not."""

from __future__ import annotations

from dataclasses import dataclass

CITY = "西安"


@dataclass(frozen=True)
class Community:
    """`share` of all households in per cent; `built` years ago; `buildings` × `floors` × `doors` a floor and unit."""

    code: str
    name: str
    district: str
    address: str
    share: int
    built: int
    buildings: int
    units: int
    floors: int
    doors: int


COMMUNITIES: tuple[Community, ...] = (
    Community("QJMY", "曲江明月府", "雁塔区", "雁塔区芙蓉西路88号", 15, 11, 18, 2, 30, 2),
    Community("XZHY", "小寨翰林苑", "雁塔区", "雁塔区长安中路126号", 12, 19, 14, 3, 18, 3),
    Community("BLSY", "碑林书院里", "碑林区", "碑林区建国路41号", 9, 24, 12, 4, 7, 3),
    Community("WYGC", "未央宫城嘉园", "未央区", "未央区凤城七路55号", 16, 12, 20, 2, 32, 2),
    Community("JKLY", "经开龙源国际", "未央区", "未央区文景路210号", 11, 8, 12, 2, 33, 3),
    Community("LHTY", "莲湖桃园新村", "莲湖区", "莲湖区桃园南路19号", 10, 26, 16, 4, 6, 3),
    Community("GXTL", "高新天朗蔚蓝城", "高新区", "高新区科技六路177号", 15, 6, 16, 2, 33, 3),
    Community("CBBQ", "浐灞半岛湾", "灞桥区", "灞桥区浐灞大道999号", 12, 4, 15, 2, 28, 3),
)


def door(community: Community, index: int) -> tuple[int, int, int, int]:
    """The `index`-th home of a community as (building, unit, floor, door), each once until the community is full.

    Homes are spread over the community by a step that shares no factor with their number.
    """
    homes = community.buildings * community.units * community.floors * community.doors
    place = index % homes * _step(homes) % homes
    place, number = divmod(place, community.doors)
    place, floor = divmod(place, community.floors)
    building, unit = divmod(place, community.units)
    return building + 1, unit + 1, floor + 1, number + 1


def home_address(community: Community, index: int) -> str:
    """`雁塔区芙蓉西路88号曲江明月府3栋2单元1702室`; a full community goes on in its second phase (二期)."""
    building, unit, floor, number = door(community, index)
    phase = index // (community.buildings * community.units * community.floors * community.doors)
    suffix = "" if phase == 0 else f"{'〇一二三四五六七八九十'[min(phase + 1, 10)]}期"
    return f"{community.address}{community.name}{suffix}{building}栋{unit}单元{floor}{number:02d}室"


def _step(homes: int) -> int:
    for step in (7919, 6101, 4049):  # primes that divide no community's number of homes
        if homes % step:
            return step
    return 1
