from __future__ import annotations

import asyncio
import csv
import json
import os
import random
import resource
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.imports.mapping import load_mapping, read_mapping
from customers.imports.run import Account, Job, Progress, import_file
from customers.imports.source import Source
from customers.imports.units import Refusal
from customers.imports.uploads import (
    append_chunk,
    create_import,
    enqueue_import,
    get_import,
    list_imports,
    list_rejects,
    rejects_csv,
    run_import,
)
from customers.models import (
    activity,
    appliances,
    customers,
    import_chunks,
    imports,
    order_items,
    orders,
    service_visits,
    standing_consents,
)
from runtime.database import Database
from runtime.errors import Conflict, Invalid, NotFound
from runtime.house import House
from runtime.settings import Settings
from tests.customers.door import NOW

ROOT = Path(__file__).parents[2]
PEOPLE = "客户编号,姓名,手机,邮箱,小区\n1,王伟,13800138000,w@example.com,曲江\n2,李娜,13900139000,,曲江\n"


class Told(Account):
    """Keeps what an import says."""

    def __init__(self) -> None:
        self.refusals: list[Refusal] = []

    async def committed(self, progress: Progress, refusals: Sequence[Refusal]) -> None:
        self.refusals += refusals


@pytest.fixture
def take(db: Database, settings: Settings, tmp_path: Path) -> Callable[..., Any]:
    """Import text or bytes as a kind; its progress and what was refused."""

    async def taken(data: str | bytes, kind: str, mapping: Any = None, **more: Any) -> tuple[Progress, list[Refusal]]:
        path = tmp_path / "file.csv"
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        told = Told()
        job = Job(Source(path, "file.csv"), kind, None if mapping is None else read_mapping(mapping, kind), **more)
        return await import_file(db, job, told, settings=settings, now=NOW), told.refusals

    return taken


def counts(progress: Progress) -> tuple[int, ...]:
    """rows, accepted, rejected; created, updated, unchanged."""
    return tuple(asdict(progress).values())[:6]


async def count(db: Database, table: Any, *where: Any) -> int:
    async with db.connect() as conn:
        return (await conn.execute(select(func.count()).select_from(table).where(*where))).scalar_one()


async def test_customers_by_guessed_columns_and_again(take: Any, db: Database) -> None:
    assert counts((await take(PEOPLE, "customers"))[0]) == (2, 2, 0, 2, 0, 0)
    assert counts((await take(PEOPLE.encode("gb18030"), "customers"))[0]) == (2, 2, 0, 0, 0, 2)
    assert await count(db, customers, customers.c.community == "曲江", customers.c.phone.is_not(None)) == 2


async def test_every_refused_line_has_line_column_and_reason(take: Any) -> None:
    text = PEOPLE + '3,"open\n4,赵,12,,\n5,钱,,x@,\n6,孙\n7,周,,w@example.com,\n,,,,曲江\n8,吴,,wu@example.com,\n'
    progress, refusals = await take(text, "customers")
    assert counts(progress) == (9, 3, 6, 3, 0, 0)
    assert [(refusal.line, refusal.column) for refusal in refusals] == [
        (4, None),
        (5, "手机"),
        (6, "邮箱"),
        (7, None),
        (8, "邮箱"),
        (9, None),
    ]
    reasons = [
        "never closed",
        "'12' is not a phone",
        "not an e-mail",
        "2 cells",
        "external_id '1'",
        "no customer is named",
    ]
    assert all(word in refusal.reason for word, refusal in zip(reasons, refusals, strict=True)), refusals


async def test_a_dry_run_writes_nothing(take: Any, db: Database) -> None:
    progress, refusals = await take(PEOPLE + ",,,,\n,谁,,,\n", "customers", dry_run=True)
    assert counts(progress) == (3, 2, 1, 2, 0, 0)
    assert len(refusals) == 1
    assert await count(db, customers) == 0


ORDER_LINES = """no,day,who,sku,qty,price
A,2024/3/5 10:00,1,x,2,1.005
B,2024/3/6 10:00,2,x,1,5
A,2024/3/9 10:00,9,y,1,3
A,2024/3/5 10:00,1,x,2,1.005
C,2024/3/7 10:00,,z,1,1
C,2024/3/7 10:00,,z,1,one
D,2024/3/7 10:00,2,z,1,one
D,2024/3/7 10:00,2,z,1,1
,2024/3/7 10:00,2,z,1,1
"""
ORDER_MAPPING = {
    "group_by": "no",
    "columns": {"number": "no", "ordered_at": "day", "customer.external_id": "who"},
    "items": {"sku": "sku", "quantity": "qty", "price": "price"},
}


async def test_lines_of_an_order_come_together_and_the_first_gives_the_fields(take: Any, db: Database) -> None:
    progress, refusals = await take(ORDER_LINES, "orders", ORDER_MAPPING)
    assert counts(progress) == (9, 4, 5, 2, 0, 0)
    async with db.connect() as conn:
        found = select(orders.c.number, orders.c.amount, orders.c.items_count, customers.c.external_id)
        mine = found.join(customers, customers.c.id == orders.c.customer_id).order_by(orders.c.number)
        rows = (await conn.execute(mine)).all()
        items = (await conn.execute(select(order_items.c.sku).where(order_items.c.order_number == "A"))).scalars().all()
    assert [(number, f"{amount:.2f}", size, who) for number, amount, size, who in rows] == [
        ("A", "7.02", 3, "1"),
        ("B", "5.00", 1, "2"),
    ]
    assert sorted(items) == ["x", "x", "y"]
    assert sorted((refusal.line, refusal.column) for refusal in refusals if refusal.column) == [
        (7, "price"),
        (8, "price"),
        (10, "no"),
    ]
    assert {refusal.line for refusal in refusals} == {6, 7, 8, 9, 10}
    assert counts((await take(ORDER_LINES, "orders", ORDER_MAPPING))[0]) == (9, 4, 5, 0, 0, 2)


async def test_appliances_and_visits_by_chinese_headers(take: Any, db: Database) -> None:
    text = (
        "客户编号\t手机\t品类\t品牌\t型号\t序列号\t安装日期\n"
        "1\t13800138000\t空调\t格力\tKFR-35\tSN1\t2015年6月1日\n"
        "2\t13900139000\t冰箱\t海尔\tBCD\tSN2\t２０１９/7/2\n"
    )
    assert counts((await take(text.encode("utf-16"), "appliances"))[0]) == (2, 2, 0, 2, 0, 0)
    visits = "工单号;客户编号;服务类型;状态;序列号;完成时间\nV1;1;维修;已完成;SN1;2024/1/2 9:30\nV2;;维修;;;2024/1/2\n"
    assert counts((await take(visits, "service_visits"))[0]) == (2, 1, 1, 1, 0, 0)
    assert await count(db, appliances, appliances.c.category == "air_conditioner", appliances.c.repairs_count == 1) == 1
    assert await count(db, service_visits, service_visits.c.appliance_number == "SN1") == 1


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("a,b\n1,2\n", "external_id"),
        ("", "empty"),
        (b"\x80\x81\xfe\xff" * 40, "encoding"),
    ],
)
async def test_a_file_that_cannot_be_imported_says_why(take: Any, text: Any, word: str) -> None:
    with pytest.raises(Invalid, match=word):
        await take(text, "customers")


async def upload(house: House, data: bytes, **more: Any) -> int:
    async with house.database.begin() as conn:
        number = await create_import(conn, filename="file.csv", **{"kind": "customers", **more})
        size = max(100, len(data) // 5)
        for position, start in enumerate(range(0, len(data), size)):
            await append_chunk(conn, number, position, data[start : start + size])
        await enqueue_import(conn, number)
    return number


async def standing(house: House, number: int) -> Any:
    async with house.database.connect() as conn:
        return await get_import(conn, number)


async def test_an_upload_is_imported_by_a_job(house: House) -> None:
    number = await upload(house, (PEOPLE + "3,,abc,=1+1,\n").encode())
    assert (await standing(house, number)).state == "queued"
    await run_import(house, import_id=number)
    found = await standing(house, number)
    assert (found.state, found.rows, found.accepted, found.rejected, found.created) == ("done", 3, 2, 1, 2)
    assert found.bytes_read == found.bytes_total
    assert await count(house.database, import_chunks) == 0
    async with house.database.connect() as conn:
        refusal = (await list_rejects(conn, number))[0]
        text = "".join([piece async for piece in rejects_csv(conn, number)])
        assert [each.id for each in await list_imports(conn)] == [number]
        assert await list_imports(conn, before=number) == []
    assert (refusal.line, refusal.column) == (4, "手机")
    lines = list(csv.reader(text.removeprefix("\ufeff").splitlines()))
    assert lines[0] == ["line", "column", "reason", "客户编号", "姓名", "手机", "邮箱", "小区"]
    assert lines[1][3:] == ["3", "", "abc", "'=1+1", ""]
    await run_import(house, import_id=number)  # a job may run twice
    assert await standing(house, number) == found


@pytest.mark.parametrize(
    ("more", "error"),
    [({"kind": "cats"}, Invalid), ({"mapping": {"columns": {"emial": "x"}}}, Invalid),
     ({"mapping": {"kind": "orders", "columns": {"number": "x"}}}, Invalid)],
)  # fmt: skip
async def test_an_upload_that_cannot_be_is_refused_at_once(house: House, more: Any, error: Any) -> None:
    with pytest.raises(error):
        await upload(house, b"x", **more)


async def test_what_is_wrong_with_the_file_ends_the_import(house: House) -> None:
    number = await upload(house, b"a,b\n1,2\n")
    await run_import(house, import_id=number)
    found = await standing(house, number)
    assert found.state == "failed"
    assert "the file has: a, b" in str(found.error)
    async with house.database.begin() as conn:
        with pytest.raises(Conflict):
            await enqueue_import(conn, number)
        with pytest.raises(NotFound):
            await get_import(conn, number + 1)


def many_people(rows: int) -> bytes:
    lines = [f"N{number},p{number}@example.com" if number % 10 else f"N{number},broken" for number in range(rows)]
    return "\n".join(["external_id,email", *lines]).encode()


class Break(Exception):
    """A process that dies."""


async def test_an_import_goes_on_where_it_was_broken_off(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also in the middle of a transaction: what was not committed is done again, what was is not."""
    from customers.imports import uploads

    number = await upload(house, many_people(8500))
    record = uploads._Stored.record
    for batches in (1, 2):
        left = batches

        async def dying(self: Any, conn: AsyncConnection, progress: Progress, refusals: Any) -> None:
            nonlocal left
            await record(self, conn, progress, refusals)
            left -= 1
            if left < 0:
                raise Break

        monkeypatch.setattr(uploads._Stored, "record", dying)
        with pytest.raises(Break):
            await run_import(house, import_id=number)
        monkeypatch.undo()
        assert (await standing(house, number)).rows == (1000 if batches == 1 else 4000)  # batches grow as it goes
    await run_import(house, import_id=number)
    found = await standing(house, number)
    assert (found.rows, found.accepted, found.rejected) == (8500, 7650, 850)
    assert (found.created, found.updated, found.unchanged) == (7650, 0, 0)
    assert await count(house.database, customers) == 7650
    async with house.database.connect() as conn:
        assert len({refusal.line for refusal in await list_rejects(conn, number, limit=1000)}) == 850


async def test_a_stopping_worker_leaves_the_rest_to_the_next(house: House) -> None:
    number = await upload(house, many_people(1500))
    house.stopping.set()
    await run_import(house, import_id=number)
    assert (await standing(house, number)).state == "running"
    house.stopping.clear()
    await run_import(house, import_id=number)
    assert (await standing(house, number)).rows == 1500


async def test_two_imports_of_one_file_at_once(house: House) -> None:
    numbers = [await upload(house, many_people(1500)) for _ in range(2)]
    await asyncio.gather(*(run_import(house, import_id=number) for number in numbers))
    found = [await standing(house, number) for number in numbers]
    assert [each.accepted for each in found] == [1350, 1350]
    assert sum(each.created for each in found) == 1350
    assert await count(house.database, customers) == 1350


def dirty_table(rows: int, seed: int) -> tuple[bytes, int]:
    """A table in GB18030 with all kinds of dirt, and how many of its lines are meant."""
    chance = random.Random(seed)
    lines = ["客户编号,姓名,手机,邮箱".encode("gb18030")]
    for number in range(rows):
        kind = chance.randrange(40)
        who = number if kind != 1 else chance.randrange(rows)
        line = f"{who},王{number},{13000000000 + who},p{who}@example.com".encode("gb18030")
        dirt = {
            2: line.replace(b"@", b"\0"),
            3: line.replace("王".encode("gb18030"), b"\xff\xff"),
            4: b'"' + line,
            5: line.replace(b"@", b'"@'),
            6: line + b",,too,many",
            7: line[:5],
            8: line.replace(b"@", b"x" * 200_000),
            9: line.replace(b",", b',"x" y,', 1),
        }
        lines.append(dirt.get(kind, line))
    return b"\r\n".join(lines), rows


async def test_a_dirty_file_is_accounted_for_line_by_line(house: House) -> None:
    data, rows = dirty_table(4000, seed=3)
    number = await upload(house, data)
    await run_import(house, import_id=number)
    found = await standing(house, number)
    assert found.state == "done", found.error
    assert (found.rows, found.accepted + found.rejected) == (rows, rows)
    async with house.database.connect() as conn:
        refusals = await list_rejects(conn, number, limit=10_000)
    assert len(refusals) == found.rejected
    assert all(refusal.reason for refusal in refusals)
    assert found.rejected < rows * 0.25
    again = await upload(house, data)
    await run_import(house, import_id=again)
    second = await standing(house, again)
    assert (second.rows, second.accepted, second.created) == (rows, found.accepted, 0)


def online_retail() -> Path:
    path = Path(os.environ.get("HEARTH_ONLINE_RETAIL") or ROOT.parent / "shared/data/online_retail.csv.gz")
    if not path.exists():
        pytest.skip(f"the Online Retail file is not here ({path}); point HEARTH_ONLINE_RETAIL at it")
    return path


async def test_online_retail_whole(db: Database, settings: Settings) -> None:
    path = online_retail()
    mapping = load_mapping(ROOT / "examples/online_retail.json")
    job = Job(Source(path, path.name), "orders", mapping)
    told = Told()
    first = await import_file(db, job, told, settings=settings, now=NOW)
    assert counts(first) == (541_909, 406_829, 135_080, 22_190, 0, 0)
    assert len({refusal.line for refusal in told.refusals}) == 135_080
    assert all(refusal.reason for refusal in told.refusals)
    assert await count(db, customers) == 4372
    assert await count(db, orders) == 22_190
    assert await count(db, orders, orders.c.status == "cancelled") == 3654
    assert await count(db, order_items) == 406_829
    assert await count(db, activity, activity.c.orders_count > 0) == 4339
    assert await count(db, standing_consents, standing_consents.c.granted) == 4372
    assert await count(db, customers, customers.c.email == "c17850@example.com") == 1
    spent = (
        select(orders.c.customer_id)
        .where(orders.c.status == "completed")
        .group_by(orders.c.customer_id)
        .having(func.sum(orders.c.amount) > 5000)
    )
    async with db.connect() as conn:
        assert len((await conn.execute(spent)).all()) == 275
    second = await import_file(db, job, Account(), settings=settings, now=NOW)
    assert counts(second) == (541_909, 406_829, 135_080, 0, 0, 22_190)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 600 * 1024  # with all of pytest in it


def test_the_example_mapping_is_sound() -> None:
    given = json.loads((ROOT / "examples/online_retail.json").read_text())
    assert read_mapping(given).kind == "orders"


async def test_an_import_of_nobody_is_not_there(conn: AsyncConnection) -> None:
    await conn.execute(delete(imports))
    await conn.execute(update(imports).values(state="done"))
    with pytest.raises(NotFound, match="no import 1"):
        await get_import(conn, 1)
