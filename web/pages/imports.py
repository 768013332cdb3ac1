"""Imports: the files taken in, watched and accounted for; web/pages/uploads.py begins them."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from customers.imports.pending import import_for_good, is_file_kept, list_pending
from customers.imports.targets import KINDS
from customers.imports.uploads import get_import, list_imports, list_rejects, rejects_csv
from runtime.errors import NotFound
from web.access import MARKETERS, READERS, Route, house_of, viewer_of
from web.downloads import csv_download
from web.i18n import _
from web.listing import Listing, read_listing
from web.render import page, redirect
from web.sheet_words import KIND_LABELS

SHOWN = 50
MOVING = ("queued", "running")


async def listing(request: Request) -> Response:
    asked = read_listing(request, ("id",), default="-id")
    before = int(asked.cursor[:18]) if asked.cursor and asked.cursor.isdecimal() else None
    async with house_of(request).database.connect() as conn:
        found = await list_imports(conn, before=before, limit=SHOWN + 1)
        waiting = await list_pending(conn, KINDS) if viewer_of(request).may(MARKETERS) else []
    rows = found[:SHOWN]
    return page(
        request,
        "imports/list.html",
        partial="results",
        listing=asked,
        found={"rows": rows, "next": str(rows[-1].id) if len(found) > SHOWN else None},
        kinds=KIND_LABELS,
        waiting=waiting,
        moving=any(one.state in MOVING for one in rows),
    )


async def show(request: Request) -> Response:
    """How an import stands, live, and the lines that it refused."""
    asked = Listing("", "line", False, None, SHOWN)
    async with house_of(request).database.connect() as conn:
        found = await get_import(conn, request.path_params["id"])
        refused = await list_rejects(conn, found.id, limit=SHOWN)
        importable = viewer_of(request).may(MARKETERS) and await is_file_kept(conn, found.id)
    return page(
        request,
        "imports/show.html",
        partial="live",
        one=found,
        refused={"rows": refused, "next": None},
        listing=asked,
        kinds=KIND_LABELS,
        moving=found.state in MOVING,
        importable=importable,
    )


async def import_now(request: Request) -> Response:
    """Take in the file of a dry run, as it was read there."""
    import_id = request.path_params["id"]
    try:
        async with house_of(request).database.begin() as conn:
            made = await import_for_good(conn, import_id, by=viewer_of(request).name)
    except NotFound:
        flash = _("The file is not there any more, or is being imported already. Upload it again if need be.")
        return redirect(request, "imports", flash=flash, kind="danger")
    return redirect(request, "import", id=made)


async def rejects(request: Request) -> Response:
    import_id = request.path_params["id"]
    return await csv_download(house_of(request).database, rejects_csv, import_id, f"rejects-{import_id}.csv")


ROUTES = [
    Route("/imports", listing, "imports", READERS),
    Route("/imports/{id:int}", show, "import", READERS),
    Route("/imports/{id:int}/now", import_now, "import_now", MARKETERS, methods=("POST",)),
    Route("/imports/{id:int}/rejects.csv", rejects, "import_rejects", READERS),
]
