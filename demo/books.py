"""Getting the dealer's books into Hearth: set-up records through the upsert, the rest by `hearth import`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.models import appliances, customers, orders, service_visits
from customers.ranks import refresh_ranks
from customers.upsert import upsert
from demo.dealer import Dealer
from demo.files import ROWS, write_csv
from runtime.clock import utc_now
from runtime.database import Database
from runtime.errors import Conflict, HearthError
from runtime.house import House, database_address
from runtime.models import workspace
from runtime.settings import Settings
from runtime.workspace import put, remember

KEY = "demo"
SETUP = ("dealers", "salespeople", "communities", "products")
FILES = ("orders", "appliances", "service_visits")
BATCH = 1_000
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
    """What is otherwise computed once a day, so that it is there at once."""
    await refresh_ranks(conn)


async def note(conn: AsyncConnection, progress: Progress) -> None:
    await put(conn, KEY, asdict(progress))


async def upsert_people(house: House, dealer: Dealer, said: Callable[[str], None]) -> None:
    """Salespeople, communities, products and customers with the history of their consent, as the JSON API takes them;
    `said` hears how far it is."""
    for kind in (*SETUP, "customers"):
        records = getattr(dealer, kind)
        for first in range(0, len(records), BATCH):
            said(f"{first:,} of {len(records):,} {kind}")
            async with house.database.begin() as conn:
                batch = records[first : first + BATCH]
                result = await upsert(conn, kind, batch, settings=house.settings, now=utc_now())
            if result.rejected:
                raise HearthError(f"{kind}: {result.rejected[0].problems[0]}")


def write_books(dealer: Dealer, folder: Path) -> None:
    """The other books as CSV files in `folder`, as a dealer's programs would write them."""
    folder.mkdir(exist_ok=True)
    for kind in FILES:
        write_csv(folder / f"{kind}.csv", ROWS[kind](dealer))


def import_arguments(kind: str, folder: Path) -> list[str]:
    """The arguments of the `hearth` command that imports one of the files."""
    mapping = EXAMPLES / f"{kind}_zh.json"
    return ["import", kind, str(folder / f"{kind}.csv"), *(["--mapping", str(mapping)] if mapping.exists() else [])]


async def sizes(conn: AsyncConnection) -> dict[str, int]:
    """How many records of each kind there are."""
    tables = (customers, appliances, orders, service_visits)
    counts = (select(func.count()).select_from(table).scalar_subquery().label(table.name) for table in tables)
    return dict((await conn.execute(select(*counts))).mappings().one())


async def _is_ours(conn: AsyncConnection) -> bool:
    """Whether the demo made this database, or nobody has put anything there."""
    if await conn.scalar(text("SELECT to_regclass('public.workspace') IS NOT NULL")):
        return await conn.scalar(select(workspace.c.key).where(workspace.c.key == KEY)) is not None
    return not await conn.scalar(text("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"))
