"""What a web process keeps for tracking, and what it does when somebody comes by an address of a message."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.consents import MARKETING
from runtime.clock import utc_now
from runtime.errors import NotFound
from runtime.house import House
from runtime.signing import Purpose, Signer
from tracking.collector import Collector, Kept
from tracking.facts import Fact, FactKind
from tracking.ledger import MessageKey
from tracking.links import LinkTables
from tracking.machines import TRAP, machine_reason
from tracking.spool import Spool
from tracking.tokens import TokenRef, read_token
from tracking.visits import landing, visited_page

SPOOL = "spool"  # in the data directory

Personal = Callable[[TokenRef], Awaitable[str]]  # where a link leads that is not the same for everybody


@dataclass(frozen=True, slots=True)
class Visitor:
    """What a request says of who sent it; `headers` with lower-case names, of them `machines.TELLING` are looked
    at."""

    agent: str = ""
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def machine(self) -> str | None:
        return machine_reason(self.agent, self.method, self.headers)


@dataclass(frozen=True)
class Tracker:
    """One a process. Each verb raises NotFound for a token that is not ours, and returns once the fact is kept
    (Collector)."""

    signer: Signer
    collector: Collector
    links: LinkTables
    sites: frozenset[str] = frozenset()  # whose pages tell of visits

    @classmethod
    def over(cls, house: House) -> Tracker:
        spool = Spool(house.settings.data_dir / SPOOL)
        sites = frozenset(house.settings.visit_sites)
        return cls(house.signer, Collector(house.database, spool), LinkTables(house.database), sites)

    def open_at_once(self, token: str, visitor: Visitor, kept: Kept) -> None:
        """Tells `kept` once the open is kept."""
        ref = read_token(self.signer, token, Purpose.OPEN)
        self.collector.take(_seen(ref.key, FactKind.OPENED, visitor), kept)

    def click_at_once(self, token: str, visitor: Visitor, kept: Kept) -> str | None:
        """Where the run's own link leads; tells `kept` once the click is kept. None, and nothing done, where that takes
        a look into the database."""
        ref = read_token(self.signer, token, Purpose.CLICK)
        template = self.links.known(ref.key.run_id, ref.link)
        if template is None or "{" in template:
            return None
        self.collector.take(_seen(ref.key, FactKind.CLICKED, visitor, template, ref.link), kept)
        return landing(template, token, self.sites)

    async def opened(self, token: str, visitor: Visitor) -> None:
        ref = read_token(self.signer, token, Purpose.OPEN)
        await self.collector.record(_seen(ref.key, FactKind.OPENED, visitor))

    async def clicked(self, token: str, visitor: Visitor, personal: Personal) -> str:
        """Where the run's own link leads, and nowhere else."""
        ref = read_token(self.signer, token, Purpose.CLICK)
        template = await self.links.template(ref.key.run_id, ref.link)
        target = await personal(ref) if "{" in template else template
        fact = _seen(ref.key, FactKind.CLICKED, visitor, template, ref.link)
        await self.collector.record(fact)
        return landing(target, token, self.sites)

    async def trapped(self, token: str, visitor: Visitor) -> None:
        """Somebody followed the link that nobody sees."""
        ref = read_token(self.signer, token, Purpose.OPEN)
        await self.collector.record(_seen(ref.key, FactKind.CLICKED, visitor)._replace(machine=TRAP))

    async def visited(self, token: str, page: str, visitor: Visitor) -> None:
        """Who once clicked looks at a page of the shop. Raises Invalid for a page of somebody else's."""
        ref = read_token(self.signer, token, Purpose.CLICK)
        await self.collector.record(_seen(ref.key, FactKind.PAGE_VISIT, visitor, visited_page(page, self.sites)))

    async def viewed(self, key: MessageKey, visitor: Visitor) -> None:
        await self.collector.record(_seen(key, FactKind.VIEWED, visitor))


def _seen(key: MessageKey, kind: FactKind, visitor: Visitor, link: str | None = None, index: int | None = None) -> Fact:
    return Fact(key, kind, utc_now(), machine=visitor.machine, agent=visitor.agent, link=link, link_index=index)


@dataclass(frozen=True)
class Standing:
    """A message as its recipient's own page needs it: where it went, by which channel, and their word about such.

    `key` names the customer who has it now: after a merge the survivor. `granted` None: they never said. `variant`: of
    an experiment's test, None outside of one.
    """

    key: MessageKey
    sent_at: datetime | None
    channel: str
    address: str | None
    granted: bool | None
    variant: int | None = None


async def standing(conn: AsyncConnection, key: MessageKey) -> Standing:
    """Raises NotFound where the message is gone (erased at its recipient's request)."""
    values = {"customer": key.customer_id, "run": key.run_id, "step": key.step}
    row = (await conn.execute(_STANDING, values)).one_or_none()
    if row is None:
        raise NotFound("this message was deleted from our records")
    return Standing(
        key._replace(customer_id=row.person), row.sent_at, row.channel, row.address, row.granted, row.variant
    )


_STANDING = text(f"""
    SELECT c.person, m.sent_at, m.channel, m.address, s.granted, m.variant
    FROM (SELECT id, coalesce(merged_into, id) AS person FROM customers WHERE id = :customer) c
    JOIN messages m ON m.customer_id IN (c.id, c.person) AND m.run_id = :run AND m.step = :step
    LEFT JOIN standing_consents s ON s.customer_id = c.person AND s.channel = m.channel AND s.purpose = '{MARKETING}'
    ORDER BY m.customer_id = c.id DESC LIMIT 1
""")  # noqa: S608 -- our own word
