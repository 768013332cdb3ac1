"""The loop on the real "Online Retail" file through the real commands: embedded database and one `hearth up`, and
PostgreSQL 15 with web, two workers and two schedulers as processes of their own, one of each killed under way."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from sqlalchemy import text

from runtime.clock import local_date, utc_now
from runtime.house import open_house
from runtime.settings import load_settings
from tests.acceptance.hall import Hall
from tests.acceptance.servers import POSTGRES_15, SINK, Sink, postgres_15, smtp_sink
from tests.waiting import until
from tracking.machines import FASTEST_PERSON

ROOT = Path(__file__).parent.parent.parent
RETAIL = Path(os.environ.get("HEARTH_ONLINE_RETAIL") or ROOT.parent / "shared/data/online_retail.csv.gz")
BROWSER = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0 Safari/537.36"
BIG_SPENDERS = {
    "has": "orders",
    "where": {"all": [{"field": "status", "op": "eq", "value": "completed"}]},
    "sum": {"field": "amount", "op": "gt", "value": 5000},
}
HTML = """<!doctype html><html><head><meta charset="utf-8"><style>p {color: #333}</style></head><body>
<p>Dear {{ customer.name }}, thank you for {{ customer.orders_count }} orders.</p>
<p><a href="https://shop.example/thanks?c={{ customer.external_id }}">Your thank-you</a> <a href="https://shop.example/new">New</a></p>
<p>{{ salesperson.name }} · <a href="{{ links.unsubscribe }}">unsubscribe</a></p></body></html>"""
KEPT = """
    SELECT (SELECT count(*) FROM customers) AS customers, (SELECT count(*) FROM orders) AS orders,
        (SELECT count(*) FROM orders WHERE status = 'cancelled') AS cancelled,
        (SELECT count(*) FROM order_items) AS items"""
CONNECTIONS = 4

pytestmark = [
    pytest.mark.skipif(not RETAIL.exists(), reason=f"{RETAIL} is not here; set HEARTH_ONLINE_RETAIL"),
    pytest.mark.skipif(not SINK.exists(), reason="no smtp-sink (Debian package postfix)"),
]


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[Sink]:
    with smtp_sink(tmp_path / "sink") as server:
        yield server


@asynccontextmanager
async def installed(folder: Path, settings: dict[str, str]) -> AsyncIterator[Hall]:
    hall = Hall(folder, {"HEARTH_CURRENCY": "GBP", "HEARTH_TIMEZONE": "Europe/London", **settings})
    try:
        yield hall
    finally:
        await hall.stop()


class Api:
    """The JSON API of a hall as an administrator's program calls it."""

    def __init__(self, hall: Hall) -> None:
        token = hall.hearth("token", "create", "acceptance", "--role", "admin")["token"]
        self._client = httpx.AsyncClient(
            base_url=f"{hall.base}/api/v1", headers={"Authorization": f"Bearer {token}"}, timeout=60, trust_env=False
        )

    async def get(self, path: str, **params: Any) -> Any:
        return self._checked(await self._client.get(path, params=params))

    async def post(self, path: str, body: Any = None) -> Any:
        return self._checked(await self._client.post(path, json=body))

    async def patient(self, path: str) -> Any:
        """GET where the web process may be away for a moment."""
        try:
            return await self.get(path)
        except httpx.TransportError:
            return None

    @staticmethod
    def _checked(answer: httpx.Response) -> Any:
        assert answer.is_success, f"{answer.request.method} {answer.request.url.path}: {answer.text}"
        return answer.json()


async def test_the_loop_on_an_embedded_database(tmp_path: Path, sink: Sink) -> None:
    async with installed(tmp_path, {"HEARTH_SMTP_URL": f"smtp://127.0.0.1:{sink.port}"}) as hall:
        await imported(hall, again=True)
        hall.start("up", "up", "--port", str(hall.port))
        await hall.answering()
        api = Api(hall)
        await give_salesperson(api)
        campaign = await created(api, "Thank you")
        await api.post(f"/campaigns/{campaign['id']}/launch")
        campaign = await finished(api, campaign["id"])
        check_sent(campaign, sink.mails(), repeats=0)
        await check_tracking(hall, api, campaign, sink)
        await check_unsubscribed(hall, api, campaign, sink)


@pytest.mark.skipif(not POSTGRES_15.exists(), reason="no PostgreSQL 15 of the distribution")
async def test_the_loop_on_postgresql_15_while_processes_die(tmp_path: Path, sink: Sink) -> None:
    with postgres_15() as url:
        settings = {
            "HEARTH_DATABASE_URL": url,
            "HEARTH_SECRET_KEY": "a secret for acceptance tests",
            "HEARTH_SMTP_URL": f"smtp://127.0.0.1:{sink.port}?connections={CONNECTIONS}",
        }
        async with installed(tmp_path, settings) as hall:
            hall.hearth("db", "upgrade")
            await imported(hall)
            start_all(hall)
            await hall.answering()
            api = Api(hall)
            await give_salesperson(api)
            campaign = await created(api, "Thank you", options={"rate_per_second": 40})
            await api.post(f"/campaigns/{campaign['id']}/launch")
            await kill_one_of_each(hall, api, campaign["id"])
            campaign = await finished(api, campaign["id"])
            check_sent(campaign, sink.mails(), repeats=CONNECTIONS)
            await check_tracking(hall, api, campaign, sink)
            await check_unsubscribed(hall, api, campaign, sink)


async def imported(hall: Hall, *, again: bool = False) -> None:
    """The file whole: the figures that are known of it; `again`: and nothing new the second time."""
    arguments = ("import", "orders", str(RETAIL), "--mapping", str(ROOT / "examples/online_retail.json"))
    rejects = ("--rejects", str(hall.folder / "rejects.csv"))
    first = hall.hearth(*arguments, *rejects)
    assert (first["rows"], first["accepted"], first["rejected"]) == (541_909, 406_829, 135_080)
    assert first["records"] == {"created": 22_190, "updated": 0, "unchanged": 0}
    rule = hall.folder / "big_spenders.json"
    rule.write_text(json.dumps(BIG_SPENDERS))
    assert hall.hearth("segment", "count", str(rule))["count"] == 275
    if again:
        assert hall.hearth(*arguments, *rejects)["records"] == {"created": 0, "updated": 0, "unchanged": 22_190}
    async with open_house(load_settings(hall.environ)) as house, house.database.connect() as conn:
        kept = dict((await conn.execute(text(KEPT))).mappings().one())
    assert kept == {"customers": 4_372, "orders": 22_190, "cancelled": 3_654, "items": 406_829}


def start_all(hall: Hall) -> None:
    hall.start("web", "web", "--port", str(hall.port))
    for number in (1, 2):
        hall.start(f"worker{number}", "worker")
        hall.start(f"scheduler{number}", "scheduler")


async def kill_one_of_each(hall: Hall, api: Api, campaign_id: int) -> None:
    """While mails go out: a worker, a scheduler and the web process are killed; only the web process comes back."""

    async def under_way() -> bool:
        counts = (await api.get(f"/campaigns/{campaign_id}"))["counts"]
        return bool(20 < counts["sent"] < 250)

    await until(under_way, 60)
    for name in ("worker1", "scheduler1", "web"):
        hall.kill(name)
    hall.start("web", "web", "--port", str(hall.port))
    await hall.answering()


async def give_salesperson(api: Api) -> None:
    await api.post("/salespeople", {"code": "S1", "name": "Grace Hopper", "phone": "+442071234567"})
    members = []
    page: dict[str, Any] = {"next": None}
    segment = await api.post("/segments", {"name": "Big spenders", "rule": BIG_SPENDERS})
    while page["next"] or not members:
        cursor = {"cursor": page["next"]} if page["next"] else {}
        page = await api.get(f"/segments/{segment['id']}/members", limit=1000, **cursor)
        members += [member["external_id"] for member in page["items"]]
    answer = await api.post("/customers", {"items": [{"external_id": code, "salesperson": "S1"} for code in members]})
    assert answer["accepted"] == 275


async def created(
    api: Api, name: str, *, options: dict[str, Any] | None = None, schedule: dict[str, Any] | None = None
) -> Any:
    return await api.post(
        "/campaigns",
        {
            "name": name,
            "channel": "email",
            "rule": BIG_SPENDERS,
            "from": "The Shop <shop@shop.example>",
            "content": {"subject": "{{ customer.name }}, thank you", "html": HTML},
            "schedule": schedule,
            "options": options or {},
        },
    )


async def finished(api: Api, campaign_id: int) -> Any:
    """The campaign once it has come to its end."""
    found: dict[str, Any] = {}

    async def ended() -> bool:
        found.update(await api.patient(f"/campaigns/{campaign_id}") or {})
        return bool(found) and found["state"] not in ("scheduled", "preparing", "sending")

    await until(ended, 180)
    assert found["state"] == "finished", found
    return found


def check_sent(campaign: Any, mails: list[EmailMessage], repeats: int) -> None:
    """275 people, each with a mail of their own, `repeats` mails at most more than once and those to the letter."""
    counts = campaign["counts"]
    assert counts["audience"] == counts["sent"] == 275, counts
    by_person: dict[str, list[EmailMessage]] = {}
    for mail in mails:
        by_person.setdefault(address(mail), []).append(mail)
    assert len(by_person) == 275
    assert 275 <= len(mails) <= 275 + repeats
    for same in by_person.values():
        assert len({mail["Message-ID"] for mail in same}) == 1
    firsts = [same[0] for same in by_person.values()]
    for own in (
        [mail["Subject"] for mail in firsts],
        [mail["Message-ID"] for mail in firsts],
        [mail["List-Unsubscribe"] for mail in firsts],
        [links(mail)["o"][0] for mail in firsts],
        [links(mail)["c"][0] for mail in firsts],
    ):
        assert len(set(own)) == 275
    for mail in firsts:
        number = address(mail).removeprefix("c").removesuffix("@example.com")
        assert mail["Subject"] == f"Customer {number}, thank you"
        assert f"Dear Customer {number}," in html_of(mail)
        assert "Grace Hopper" in html_of(mail)
        assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        assert mail["Feedback-ID"]


async def check_tracking(hall: Hall, api: Api, campaign: Any, sink: Sink) -> None:
    """One pixel and one link, fetched as a browser does: customer, report, timeline and score move; a scanner moves
    nothing."""
    first, second = sink.mails()[:2]
    await asyncio.sleep(FASTEST_PERSON.total_seconds() + 0.5)  # sooner is taken for a machine: part of what is tested
    period = f"{local_date(utc_now(), 'Europe/London'):%Y-%m}"
    before = await score(api, period)
    async with httpx.AsyncClient(base_url=hall.base, trust_env=False, headers={"User-Agent": BROWSER}) as browser:
        pixel = await browser.get(links(first)["o"][0])
        assert (pixel.status_code, pixel.headers["content-type"]) == (200, "image/gif")
        click = await browser.get(links(first)["c"][0])
        number = address(first).removeprefix("c").removesuffix("@example.com")
        assert (click.status_code, click.headers["location"]) == (302, f"https://shop.example/thanks?c={number}")
        machine = await browser.get(links(second)["c"][0], headers={"User-Agent": "curl/8.5"})
        assert machine.status_code == 302

    async def counted() -> bool:
        counts = (await api.get(f"/campaigns/{campaign['id']}"))["counts"]
        return bool((counts["opened"], counts["clicked"], counts["machine_clicked"]) == (1, 1, 1))

    await until(counted)
    person = await customer(api, first)
    assert person["activity"]["last_opened_at"]
    assert person["activity"]["last_clicked_at"]
    other = await customer(api, second)
    assert not other["activity"]["last_opened_at"]
    assert not other["activity"]["last_clicked_at"]
    timeline = await api.get(f"/customers/{person['id']}/timeline")
    kinds = {entry["kind"] for entry in timeline["items"] if entry["campaign"] == "Thank you"}
    assert {"opened", "clicked"} <= kinds, kinds
    await check_conversion(api, campaign, first)
    after = await score(api, period)
    moved = {part["name"] for part, then in zip(after["parts"], before["parts"], strict=True) if part != then}
    assert "conversion" in moved, (before, after)
    assert float(after["score"]) > float(before["score"])


async def check_conversion(api: Api, campaign: Any, mail: EmailMessage) -> None:
    """An order after the click counts for the campaign."""
    order = {
        "number": "AFTER-1",
        "customer": {"email": address(mail)},
        "status": "completed",
        "ordered_at": utc_now().isoformat(),
        "amount": "120.50",
        "items": [{"sku": "X", "name": "Lamp", "quantity": 1, "price": "120.50", "cost": "70.00"}],
    }
    assert (await api.post("/orders", order))["accepted"] == 1

    async def attributed() -> bool:
        found = await api.get(f"/campaigns/{campaign['id']}")
        return bool((found["orders"], float(found["revenue"])) == (1, 120.5))

    await until(attributed)


async def check_unsubscribed(hall: Hall, api: Api, campaign: Any, sink: Sink) -> None:
    """One-click by POST; the next campaign leaves that customer out and says why."""
    leaver = sink.mails()[2]
    path = urlsplit(str(leaver["List-Unsubscribe"]).strip("<> ").split(">")[0]).path
    async with httpx.AsyncClient(base_url=hall.base, trust_env=False) as client:
        looked = await client.get(path)
        assert looked.status_code == 200
        left = await client.post(path, data={"List-Unsubscribe": "One-Click"})
        assert left.status_code == 200
    before = Counter(address(mail) for mail in sink.mails())
    soon = (utc_now() + timedelta(seconds=3)).isoformat()  # the leader starts it: where one was killed, its heir
    following = await created(api, "Thank you again", schedule={"at": soon})
    await api.post(f"/campaigns/{following['id']}/launch")
    following = await finished(api, following["id"])
    assert following["counts"]["audience"] == 275
    assert (following["counts"]["sent"], following["counts"]["skipped"]) == (274, 1)
    assert following["skipped_reasons"] == {"unsubscribed": 1}
    person = await customer(api, leaver)
    page = await api.get(f"/campaigns/{following['id']}/messages", state="skipped")
    assert [(one["customer_id"], one["reason"]) for one in page["items"]] == [(person["id"], "unsubscribed")]
    received = Counter(address(mail) for mail in sink.mails()) - before
    assert address(leaver) not in received
    assert sum(received.values()) == 274
    assert (await api.get(f"/campaigns/{campaign['id']}"))["counts"]["unsubscribed"] == 1


async def score(api: Api, period: str) -> Any:
    people = (await api.get("/salespeople"))["items"]
    return await api.get(f"/salespeople/{people[0]['id']}/score", period=period)


async def customer(api: Api, mail: EmailMessage) -> Any:
    (found,) = (await api.get("/customers", email=address(mail)))["items"]
    return found


def address(mail: EmailMessage) -> str:
    return str(mail["To"].addresses[0].addr_spec)


def html_of(mail: EmailMessage) -> str:
    body = mail.get_body(("html",))
    assert body is not None
    return str(body.get_content())


def links(mail: EmailMessage) -> dict[str, list[str]]:
    """The paths in a mail by their kind: o pixel, c click, u unsubscribe, v view."""
    found: dict[str, list[str]] = {}
    for path in re.findall(r"""https?://[^/\s"']+(/[ocuv]/[\w-]+)""", html_of(mail)):
        found.setdefault(path[1], []).append(path)
    return found
