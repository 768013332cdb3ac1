"""Campaigns in the console: form with preview, launch over a real mail server, live view, report, messages."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from sqlalchemy import update

import campaigns.templates as templates
from campaigns import store
from campaigns.figures import count_figures
from campaigns.models import runs, schedules
from runtime.clock import utc_now
from runtime.house import House
from segments.store import create_segment
from tests.campaigns.conftest import house, sink
from tests.campaigns.scene import Sink, body, finished, launched, record, work_off, working
from tests.web.conftest import SignIn
from tests.web.scene import LI, WANG, invalid_fields, links, next_page, put, text_of, value_of
from web.pages import campaign_report

__all__ = ["house", "sink"]  # fixtures

ROW = r"/campaigns/\d+"
SOURCE = "<p>Dear {{ customer.name }}</p><a href='https://shop.example/'>Look</a>"
FORM = {"name": "Spring", "subject": "Hello {{ customer.name }}", "format": "html", "source": SOURCE, "when": "now"}


async def town(house: House, name: str = "Town") -> int:
    rule = {"all": [{"field": "city", "op": "eq", "value": "西安"}]}
    async with house.database.begin() as conn:
        return (await create_segment(conn, name, rule)).id


async def drafted(house: House, **changes: object) -> int:
    async with house.database.begin() as conn:
        return await store.create_campaign(conn, body(**changes), settings=house.settings, by="me")


async def test_the_list_is_searched_sorted_and_paged(sign_in: SignIn, house: House) -> None:
    client = await sign_in("analyst")
    assert "No campaigns yet" in (await client.get("/campaigns")).text
    for name in ("Bee", "Ant", "Cow"):
        await drafted(house, name=name)
    assert links(await client.get("/campaigns"), ROW) == ["Cow", "Ant", "Bee"]
    assert links(await client.get("/campaigns?sort=name"), ROW) == ["Ant", "Bee", "Cow"]
    first = await client.get("/campaigns?sort=-name&limit=2")
    assert links(first, ROW) == ["Cow", "Bee"]
    assert links(await client.get(next_page(first)), ROW) == ["Ant"]
    assert links(await client.get("/campaigns?q=o"), ROW) == ["Cow"]


async def test_a_new_form_begins_with_a_mail_that_can_be_saved(sign_in: SignIn, house: House) -> None:
    segment = await town(house)
    for language, words in (("en", "Book a visit"), ("zh", "预约上门")):
        client = await sign_in("marketer", language=language)
        page = await client.get(f"/campaigns/new?segment={segment}")
        begun = {name: value_of(page, name) for name in ("subject", "source", "cron")}
        assert words in begun["source"]
        fields = {"name": words, "segment_id": str(segment), "format": "mjml", "when": "now", **begun}
        assert (await client.post("/campaigns/new", data=fields)).status_code == 303


async def test_a_draft_shows_whom_it_reaches(sign_in: SignIn, house: House) -> None:
    await put(house, "customers", WANG, {**WANG, "external_id": "C3", "email": None, "phone": None}, LI)
    segment = await town(house)
    client = await sign_in("marketer")
    made = await client.post("/campaigns/new", data={**FORM, "segment_id": str(segment), "holdout": "5", "rate": "2.5"})
    path = made.headers["location"]
    page = await client.get(path)
    told = text_of(page)
    for words in ("The draft is saved.", "Town", "At once, when launched", "5 %", "2.5 messages a second"):
        assert words in told, words
    assert f'href="/segments/{segment}"' in page.text
    told = text_of(await client.get(f"{path}/foresight"))
    assert told.startswith("2 customers , of whom 1 would get it"), told
    assert "no address 1" in told
    assert "Dear 王小明" in (await client.get(f"{path}/preview")).text


async def test_an_edited_draft_keeps_what_the_form_does_not_show(sign_in: SignIn, house: House) -> None:
    rule = {"all": [{"field": "city", "op": "eq", "value": "西安"}]}
    campaign = await drafted(house, rule=rule, options={"holdout_percent": 10, "catch_up_hours": 2})
    client = await sign_in("marketer")
    page = await client.get(f"/campaigns/{campaign}/edit")
    assert "a rule of its own" in text_of(page)
    shown = {name: value_of(page, name) for name in ("name", "subject", "source", "holdout", "rate", "catch_up")}
    saved = await client.post(
        f"/campaigns/{campaign}/edit", data={**shown, "format": "html", "when": "now", "rate": "3"}
    )
    assert saved.status_code == 303, text_of(saved)
    kept = await record(house, campaign)
    assert kept["rule"] == rule
    assert kept["options"] == {"holdout_percent": 10, "catch_up_hours": 2, "rate_per_second": 3}


async def test_when_is_a_time_of_the_workspace(sign_in: SignIn, house: House) -> None:
    segment = str(await town(house))
    client = await sign_in("marketer")
    timed = await client.post(
        "/campaigns/new", data={**FORM, "segment_id": segment, "when": "at", "at": "2030-01-02T10:00"}
    )
    campaign = int(timed.headers["location"].rpartition("/")[2])
    assert (await record(house, campaign))["schedule"] == {"at": "2030-01-02T02:00:00+00:00"}
    assert value_of(await client.get(f"/campaigns/{campaign}/edit"), "at") == "2030-01-02T10:00"
    weekly = await client.post(
        "/campaigns/new", data={**FORM, "segment_id": segment, "when": "cron", "cron": "0 9 * * 2"}
    )
    campaign = int(weekly.headers["location"].rpartition("/")[2])
    assert (await record(house, campaign))["schedule"] == {"cron": "0 9 * * 2", "timezone": "Asia/Shanghai"}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": ""}, "name"),
        ({"segment_id": ""}, "segment_id"),
        ({"segment_id": "999"}, "segment_id"),
        ({"segment_id": "x"}, "segment_id"),
        ({"subject": "{{ customer.nmae }}"}, "subject"),
        ({"source": "{% if %}"}, "source"),
        ({"source": "", "format": "mjml"}, "source"),
        ({"text": "{{ nothing }}"}, "text"),
        ({"sender": "nobody\tat all"}, "sender"),
        ({"sender": "not an address"}, "sender"),
        ({"when": "at", "at": ""}, "at"),
        ({"when": "cron", "cron": "often"}, "cron"),
        ({"rate": "fast"}, "rate"),
        ({"rate": "-1"}, "rate"),
        ({"holdout": "101"}, "holdout"),
        ({"template_id": "999"}, "template_id"),
    ],
)
async def test_what_is_wrong_stands_beside_its_field(
    sign_in: SignIn, house: House, change: dict[str, str], field: str
) -> None:
    fields = {**FORM, "segment_id": str(await town(house)), **change}
    campaign = await drafted(house)
    client = await sign_in("marketer")
    created = await client.post("/campaigns/new", data=fields)
    assert invalid_fields(created) == {field}
    assert value_of(created, "source") == fields["source"]
    if change.get("segment_id") != "":  # the draft that is edited has a rule of its own
        assert invalid_fields(await client.post(f"/campaigns/{campaign}/edit", data=fields)) == {field}


async def test_mjml_is_kept_as_mjml_whatever_is_chosen(sign_in: SignIn, house: House) -> None:
    mjml = "<mjml><mj-body><mj-section><mj-column><mj-text>Dear</mj-text></mj-column></mj-section></mj-body></mjml>"
    client = await sign_in("marketer")
    fields = {**FORM, "segment_id": str(await town(house)), "source": mjml, "format": "html"}
    made = await client.post("/campaigns/new", data=fields)
    assert made.status_code == 303, text_of(made)
    content = (await record(house, int(made.headers["location"].rpartition("/")[2])))["content"]
    assert content == {"subject": FORM["subject"], "mjml": mjml}


async def test_the_form_previews_what_is_typed(sign_in: SignIn, house: House) -> None:
    await put(house, "customers", WANG)
    client = await sign_in("marketer")
    shown = await client.post("/campaigns/preview", data=FORM)
    assert (shown.status_code, "Dear 王小明" in shown.text, "Hello 王小明" in shown.text) == (200, True, True)
    assert shown.headers["content-security-policy"].startswith("sandbox;")
    broken = await client.post("/campaigns/preview", data={**FORM, "source": "{{ customer.nmae }}"})
    assert broken.status_code == 200
    assert "nmae" in broken.text
    async with house.database.begin() as conn:
        content = {"name": "T", "channel": "email", "subject": "Of the template", "html": "<p>x</p>"}
        template = await templates.create_template(conn, content, settings=house.settings, by=None)
    chosen = await client.post("/campaigns/preview", data={**FORM, "template_id": str(template)})
    assert "Of the template" in chosen.text
    assert "999" in (await client.post("/campaigns/preview", data={**FORM, "template_id": "999"})).text


async def test_a_campaign_is_launched_watched_and_reported(sign_in: SignIn, house: House, sink: Sink) -> None:
    await put(house, "customers", WANG, LI, {"external_id": "C3", "name": "No consent", "email": "c@example.com"})
    campaign = await drafted(house)
    client = await sign_in("marketer")
    path = f"/campaigns/{campaign}"
    assert (await client.post(f"{path}/launch")).headers["location"] == path
    moving = await client.get(path)
    assert f'data-live="{path}/live"' in moving.text
    assert (await client.get(f"{path}/live")).headers["location"] == path
    async with working(house):
        await finished(house, campaign)
    report = await client.get(path)
    told = text_of(report)
    for words in ("Finished", "Audience 3", "Sent 2", "never consented 1", "Skipped 1", "shop.example", "example.com"):
        assert words in told, words
    assert "data-live" not in report.text
    assert "Finished" in text_of(await client.get("/campaigns"))
    chinese = text_of(await (await sign_in("analyst", language="zh")).get(path))
    assert "从未同意接收" in chinese


async def test_a_report_tells_who_may_have_seen_an_empty_value(sign_in: SignIn, house: House) -> None:
    await put(house, "customers", WANG, {**LI, "city": None})
    content = {"subject": "In {{ customer.city }}", "html": "<p>x</p>"}
    campaign = await launched(house, content=content)
    told = text_of(await (await sign_in("analyst")).get(f"/campaigns/{campaign}"))
    assert "1 of 2 lacked a value that the mail shows customer.city 1" in told


async def test_messages_are_told_one_by_one(sign_in: SignIn, house: House, sink: Sink) -> None:
    await put(house, "customers", WANG, LI, {"external_id": "C3", "name": "Cleo"})
    campaign = await launched(house)
    await work_off(house)
    client = await sign_in("analyst")
    path = f"/campaigns/{campaign}/messages"
    people = r"/customers/\d+"
    assert links(await client.get(path), people) == ["王小明", "李雷", "Cleo"]
    assert links(await client.get(f"{path}?state=skipped"), people) == ["Cleo"]
    assert "no address" in text_of(await client.get(f"{path}?state=skipped"))
    first = await client.get(f"{path}?limit=2")
    assert links(await client.get(next_page(first)), people) == ["Cleo"]


async def test_the_page_of_a_large_campaign_comes_before_its_numbers(
    sign_in: SignIn, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(campaign_report, "MANY", 1)
    await put(house, "customers", WANG, LI)
    campaign = await launched(house)
    async with house.database.begin() as conn:
        await conn.execute(update(runs).values(people=2, state="sending"))
    client = await sign_in("marketer")
    path = f"/campaigns/{campaign}"
    first = await client.get(path)
    assert "being counted" in text_of(first)
    assert "From audience to order" not in text_of(first)
    assert f'hx-get="{path}/report"' in first.text
    assert f'data-live="{path}/live"' in first.text
    assert "url=/campaigns/" in first.text  # without scripts the counted page follows by itself
    assert "From audience to order" in text_of(await client.get(f"{path}/report"))
    counted = await client.get(f"{path}?counted=yes")
    assert "being counted" not in text_of(counted)
    assert "From audience to order" in text_of(counted)
    await count_figures(house, campaign_id=campaign)
    known = text_of(await client.get(path))  # what goes on comes with the stream: nothing is scanned for the page
    assert "being counted" in known
    assert "From audience to order" in known


async def test_pause_resume_and_cancel(sign_in: SignIn, house: House) -> None:
    await put(house, "customers", WANG)
    campaign = await launched(house)
    client = await sign_in("marketer", name="Mei")
    path = f"/campaigns/{campaign}"
    assert (await client.post(f"{path}/pause")).status_code == 303
    told = text_of(await client.get(path))
    assert "Paused" in told
    assert "paused by Mei" in told
    assert (await client.post(f"{path}/resume")).status_code == 303
    assert (await client.post(f"{path}/resume")).status_code == 409
    assert (await client.post(f"{path}/cancel", data={"confirm": "x"})).status_code == 422
    assert (await client.post(f"{path}/cancel", data={"confirm": "Spring"})).status_code == 303
    assert "Cancelled" in text_of(await client.get(path))
    assert (await client.post(f"{path}/delete", data={"confirm": "Spring"})).status_code == 409


async def test_what_keeps_a_campaign_from_being_launched_is_said_on_its_page(sign_in: SignIn, house: House) -> None:
    campaign = await drafted(house, rule={"any": []})
    client = await sign_in("marketer")
    refused = await client.post(f"/campaigns/{campaign}/launch")
    assert refused.headers["location"] == f"/campaigns/{campaign}"
    page = await client.get(refused.headers["location"])
    assert "alert-danger" in page.text
    assert "Draft" in text_of(page)


async def test_a_draft_is_copied_and_deleted(sign_in: SignIn, house: House) -> None:
    await put(house, "customers", WANG)
    campaign = await launched(house)
    client = await sign_in("marketer")
    copied = await client.post(f"/campaigns/{campaign}/copy")
    path = copied.headers["location"]
    assert "Spring (copy)" in text_of(await client.get(path))
    assert (await client.post(f"{path}/delete", data={"confirm": "Spring"})).status_code == 422
    assert (await client.post(f"{path}/delete", data={"confirm": "Spring (copy)"})).headers["location"] == "/campaigns"
    assert (await client.get(path)).status_code == 404


async def test_a_test_mail_tells_the_servers_words(sign_in: SignIn, house: House, sink: Sink) -> None:
    await put(house, "customers", WANG)
    campaign = await drafted(house)
    client = await sign_in("marketer")
    path = f"/campaigns/{campaign}"
    await client.post(f"{path}/test", data={"to": "me@example.com"})
    assert sink.addresses == ["me@example.com"]
    assert "queued as 1" in text_of(await client.get(path))
    sink.at_rcpt = lambda address: "550 5.1.1 no <b>such</b> user"
    await client.post(f"{path}/test", data={"to": "me@example.com"})
    page = await client.get(path)
    assert "no &lt;b&gt;such&lt;/b&gt; user" in page.text


async def test_a_scheduled_campaign_says_when(sign_in: SignIn, house: House) -> None:
    await put(house, "customers", WANG)
    at = (utc_now() + timedelta(days=3)).replace(microsecond=0)
    campaign = await launched(house, schedule={"at": at.isoformat()})
    client = await sign_in("analyst")
    page = await client.get(f"/campaigns/{campaign}")
    assert "Scheduled" in text_of(page)
    assert re.search(r"in 3 days|in 2 days", text_of(page))


async def test_why_a_scheduled_campaign_cannot_be_started_is_told(sign_in: SignIn, house: House) -> None:
    await put(house, "customers", WANG)
    campaign = await launched(house, schedule={"at": (utc_now() + timedelta(days=3)).isoformat()})
    said = "cannot be started, it is tried again: KeyError: 'Mars'"
    async with house.database.begin() as conn:
        await conn.execute(update(schedules).values(error=said))
    client = await sign_in("analyst")
    assert said in text_of(await client.get(f"/campaigns/{campaign}"))
    assert said in text_of(await client.get("/sending"))  # among what stopped by itself, or may


async def test_analysts_look_and_salespeople_do_not(sign_in: SignIn, house: House) -> None:
    campaign = await drafted(house)
    analyst, salesperson = await sign_in("analyst"), await sign_in("salesperson", salesperson="s1")
    page = await analyst.get(f"/campaigns/{campaign}")
    assert page.status_code == 200
    for verb in ("launch", "edit", "test", "delete"):
        assert f"/{verb}" not in page.text.partition('<main id="content"')[2]
    for verb in ("launch", "pause", "resume", "cancel", "test", "delete", "copy", "edit"):
        assert (await analyst.post(f"/campaigns/{campaign}/{verb}")).status_code == 403
    for path in ("/campaigns", f"/campaigns/{campaign}", f"/campaigns/{campaign}/messages"):
        assert (await salesperson.get(path)).status_code == 403


async def test_what_is_not_there_is_404(sign_in: SignIn) -> None:
    client = await sign_in("marketer")
    for path in ("", "/edit", "/messages", "/audience"):
        assert (await client.get(f"/campaigns/99{path}")).status_code == 404
    for verb in ("launch", "pause", "cancel", "delete", "copy"):
        assert (await client.post(f"/campaigns/99/{verb}", data={"confirm": "x"})).status_code == 404
