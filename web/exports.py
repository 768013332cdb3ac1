"""Everything about a person as a file for them: JSON for machines, a page for people."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence

from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from customers.exporting import Row, everything_about
from runtime.clock import utc_now
from web.i18n import N_, _
from web.render import fragment
from web.view import STATIC
from web.vocabulary import records_label

TITLES: Mapping[str, str] = {
    "customers": N_("Your record"),
    "identities": N_("How we recognise you"),
    "households": N_("Your household"),
    "contact_addresses": N_("Where we reach you"),
    "consents": N_("What you agreed to or withdrew"),
    "standing_consents": N_("What stands of it"),
    "suppressions": N_("Where we do not write to you"),
    "suppressed_addresses": N_("Addresses at which nobody is written to"),
    "frequency_wishes": N_("How often you want to hear from us"),
    "activity": N_("Sums over what you did"),
    "messages": N_("Messages to you"),
    "events": N_("What happened with them"),
    "past_folds": N_("What happened with those of long ago, summed up"),
    "past_clicks": N_("How often you followed their links"),
    "second_looks": N_("Clicks that are being looked at again"),
    "archive_codes": N_("What stands for you in our archive"),
    "follow_ups": N_("Our calls and visits to you"),
    "record_numbers": N_("Numbers of your orders, appliances and visits"),
    "signups": N_("Forms that you sent"),
    "segment_members": N_("Groups that you belong to"),
    "segment_changes": N_("When you joined or left them"),
    "audience_members": N_("Lists that you are on"),
}


async def export_of(request: Request, conn: AsyncConnection, customer_id: int) -> Response:
    """A zip with both, by its customer. Raises NotFound."""
    found = await everything_about(conn, customer_id, utc_now())
    html = fragment(request, "customers/export.html", found=found, title_of=title_of, columns_of=_columns)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("everything.json", json.dumps(found.to_json(), ensure_ascii=False, indent=1))
        archive.writestr("everything.html", html)
        archive.writestr("everything.css", (STATIC / "export.css").read_bytes())
    headers = {
        "Content-Disposition": f'attachment; filename="customer-{found.customer_id}.zip"',
        "Cache-Control": "no-store",
    }
    return Response(packed.getvalue(), media_type="application/zip", headers=headers)


def _columns(rows: Sequence[Row]) -> list[str]:
    """All that any row says, in the order of its first telling."""
    return list(dict.fromkeys(name for row in rows for name in row))


def title_of(table: str) -> str:
    """What the rows of a table are, for whom they are about."""
    return _(TITLES[table]) if table in TITLES else records_label(table)
