"""Getting the dealer's books into Hearth, people as records over the JSON API and the rest as uploaded files."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

from sqlalchemy import exists, func, or_, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.models import appliances, customers, orders, service_visits
from customers.ranks import refresh_ranks
from customers.reference import Category, save_category
from demo.api import Api, Refused
from demo.dealer import Dealer
from demo.files import ROWS, write_csv
from demo.steps import Step
from runtime.database import Database
from runtime.errors import Conflict
from runtime.house import database_address
from runtime.models import workspace
from runtime.settings import Settings
from runtime.workspace import put, remember
from web.models import users

KEY = "demo"
POSTED = ("dealers", "salespeople", "communities", "products", "customers")
UPLOADED = ("orders", "appliances", "service_visits")
BATCH = 1_000
WATER_PURIFIER = Category("water_purifier", "Water purifier", "净水器")  # nobody publishes its service life
EXAMPLES = Path(__file__).parent.parent / "examples"


@dataclass(frozen=True)
class Progress:
    """What the demo has done in this database, kept there: the day and size of the dealer, and which parts are done."""

    made_on: str
    households: int
    records: bool = False
    played: tuple[str, ...] = ()

    @property
    def day(self) -> date:
        return date.fromisoformat(self.made_on)


async def take_up(conn: AsyncConnection, today: date, households: int) -> Progress:
    """The progress of the demo in this database, begun now where it is empty.

    Raises Conflict where the database holds records of somebody else.
    """
    known = await conn.scalar(select(workspace.c.value).where(workspace.c.key == KEY))
    if known is None and await conn.scalar(
        select(func.count()).select_from(select(customers.c.id).limit(1).subquery())
    ):
        raise Conflict(
            "this database has customers that are not the demo's, which the demo must not touch; "
            "choose another HEARTH_DATA_DIR or HEARTH_DATABASE_URL for it"
        )
    begun = known or await remember(conn, KEY, asdict(Progress(today.isoformat(), households)))
    return Progress(**{**begun, "played": tuple(begun["played"])})


async def wipe(settings: Settings) -> None:
    """Empty the demo's database, so that the next opening makes it anew. Raises Conflict where it is not the demo's."""
    async with database_address(settings) as url:
        database = Database(url)
        try:
            async with database.begin() as conn:
                if not await _is_ours(conn):
                    raise Conflict("RESET: this database was not made by the demo, so the demo does not empty it")
                await conn.execute(text("DROP SCHEMA public CASCADE"))
                await conn.execute(text("CREATE SCHEMA public"))
        finally:
            await database.close()


async def settle(conn: AsyncConnection) -> None:
    """The dealer's own word for what else they sell, and what is otherwise computed once a day."""
    await save_category(conn, WATER_PURIFIER)
    await refresh_ranks(conn)


async def note(conn: AsyncConnection, progress: Progress) -> None:
    await put(conn, KEY, asdict(progress))


async def post_records(api: Api, dealer: Dealer, said: Step) -> None:
    """Salespeople, communities, products, and customers with the history of their consent, over the JSON API."""
    for kind in POSTED:
        records = getattr(dealer, kind)
        for first in range(0, len(records), BATCH):
            said.now(f"{first:,} of {len(records):,} {kind}")
            answer = await api.post(f"/{kind}", {"items": records[first : first + BATCH]})
            if answer["rejected"]:
                raise Refused(f"{kind}: {answer['rejected'][0]}")


def write_files(dealer: Dealer, folder: Path) -> dict[str, Path]:
    """The other books, by kind, as the CSV files that a dealer's programs would write."""
    folder.mkdir(exist_ok=True)
    paths = {kind: folder / f"{kind}.csv" for kind in UPLOADED}
    for kind, path in paths.items():
        write_csv(path, ROWS[kind](dealer))
    return paths


async def import_file(api: Api, kind: str, path: Path, said: Step) -> None:
    """Upload one file and watch until a worker has taken it in, all of it."""
    mapping = EXAMPLES / f"{kind}_zh.json"
    form = {"kind": kind, **({"mapping": mapping.read_text(encoding="utf-8")} if mapping.exists() else {})}
    started = await api.upload("/imports", path, form)
    while True:
        found = await api.get(f"/imports/{started['id']}")
        said.now(f"{found['rows']:,} lines")
        if found["state"] in ("done", "failed"):
            break
        await asyncio.sleep(0.2)
    if found["state"] == "failed" or found["rejected"]:
        raise Refused(f"{path}: {found['error'] or found['rejects_url']}")
    said.note = f"{found['accepted']:,} lines, {found['records']['created']:,} records created, from {path}"


async def sizes(conn: AsyncConnection) -> dict[str, int]:
    """How many records of each kind there are."""
    tables = (customers, appliances, orders, service_visits)
    counts = (select(func.count()).select_from(table).scalar_subquery().label(table.name) for table in tables)
    return dict((await conn.execute(select(*counts))).mappings().one())


async def _is_ours(conn: AsyncConnection) -> bool:
    """Whether the demo made what is in this database, or nobody has put anything there."""
    if not await conn.scalar(text("SELECT to_regclass('public.workspace') IS NOT NULL")):
        return not await conn.scalar(text("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"))
    if await conn.scalar(select(workspace.c.key).where(workspace.c.key == KEY)) is not None:
        return True
    return not await conn.scalar(select(or_(exists(select(customers.c.id)), exists(select(users.c.id)))))
