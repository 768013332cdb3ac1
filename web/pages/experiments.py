"""Tests of variants in the console: what came of them, the lift over those held out, their end by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from campaigns import store
from campaigns.experiments.decide import decide_now, stop
from campaigns.experiments.lift import lift
from campaigns.experiments.outcome import outcomes
from runtime.clock import utc_now
from web.access import MARKETERS, READERS, Route, house_of, viewer_of
from web.experiment_words import a_head, decision, lift_said, percents, rate, revenue_doubt
from web.i18n import _
from web.pages.campaign_report import known_figures
from web.render import page, redirect


async def findings(request: Request) -> Response:
    """A part of a campaign's report, loaded after it: nothing where nothing was tested and nobody held out."""
    async with house_of(request).database.connect() as conn:
        found = await store.campaign(conn, request.path_params["id"])
        known = await known_figures(conn, found.id)
        tests = await outcomes(conn, found.id, known.tests if known else None)
        beyond = known.lift if known else await _lift(conn, found.id)
    return page(
        request,
        "campaigns/findings.html",
        campaign=found,
        tests=tests,
        lift=beyond,
        words={
            "decision": decision,
            "lift": lift_said,
            "revenue_doubt": revenue_doubt,
            "rate": rate,
            "a_head": a_head,
            "percents": percents,
        },
    )


async def decide(request: Request) -> Response:
    """For the variant that was chosen, or by the numbers as they stand."""
    house, campaign_id = house_of(request), request.path_params["id"]
    variant = str((await request.form()).get("variant", "")) or None
    by, zone = viewer_of(request).name, house.settings.zone
    async with house.database.begin() as conn:
        await decide_now(conn, campaign_id, variant, by=by, now=utc_now(), zone=zone)
        winner = next((one["winner"] for one in await outcomes(conn, campaign_id) if one["winner"]), "")
    flash = _("The test is decided: the rest gets %(winner)s.", winner=winner)
    return redirect(request, "campaign", id=campaign_id, flash=flash)


async def end(request: Request) -> Response:
    campaign_id = request.path_params["id"]
    async with house_of(request).database.begin() as conn:
        await stop(conn, campaign_id, by=viewer_of(request).name, now=utc_now())
    return redirect(request, "campaign", id=campaign_id, flash=_("The test is stopped."))


async def _lift(conn: AsyncConnection, campaign_id: int) -> Mapping[str, Any] | None:
    found = await lift(conn, campaign_id)
    return None if found is None else found.to_json()


ROUTES = [
    Route("/campaigns/{id:int}/findings", findings, "campaign_findings", READERS),
    Route("/campaigns/{id:int}/test/decide", decide, "campaign_test_decide", MARKETERS, methods=("POST",)),
    Route("/campaigns/{id:int}/test/stop", end, "campaign_test_stop", MARKETERS, methods=("POST",)),
]
