"""Imports: upload a file, watch it, look at what was refused."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from customers.imports.targets import KINDS
from customers.imports.uploads import get_import, list_imports, list_rejects, rejects_csv
from runtime.errors import Invalid
from web.access import MARKETERS, READERS, Route, house_of, viewer_of
from web.downloads import csv_download
from web.i18n import N_, _
from web.listing import Listing, read_listing
from web.render import page, redirect
from web.uploads import UPLOAD_LIMIT, take_import

KIND_LABELS = {
    "customers": N_("Customers"),
    "orders": N_("Orders"),
    "appliances": N_("Appliances"),
    "service_visits": N_("Service visits"),
}
SHOWN = 50
MOVING = ("queued", "running")


async def listing(request: Request) -> Response:
    asked = read_listing(request, ("id",), default="-id")
    before = int(asked.cursor[:18]) if asked.cursor and asked.cursor.isdecimal() else None
    async with house_of(request).database.connect() as conn:
        found = await list_imports(conn, before=before, limit=SHOWN + 1)
    rows = found[:SHOWN]
    return page(
        request,
        "imports/list.html",
        partial="results",
        listing=asked,
        found={"rows": rows, "next": str(rows[-1].id) if len(found) > SHOWN else None},
        kinds=KIND_LABELS,
        moving=any(one.state in MOVING for one in rows),
    )


async def new(request: Request) -> Response:
    return _form_page(request, str(request.query_params.get("kind", "customers")), {})


async def create(request: Request) -> Response:
    form = await request.form()
    try:
        async with house_of(request).database.begin() as conn:
            import_id = await take_import(conn, form, viewer_of(request).name)
    except Invalid as error:
        return _form_page(request, str(form.get("kind", "")), _errors(error))
    return redirect(request, "import", id=import_id)


async def show(request: Request) -> Response:
    """How an import stands, live, and the lines that it refused."""
    asked = Listing("", "line", False, None, SHOWN)
    async with house_of(request).database.connect() as conn:
        found = await get_import(conn, request.path_params["id"])
        refused = await list_rejects(conn, found.id, limit=SHOWN)
    return page(
        request,
        "imports/show.html",
        partial="live",
        one=found,
        refused={"rows": refused, "next": None},
        listing=asked,
        kinds=KIND_LABELS,
        moving=found.state in MOVING,
    )


async def rejects(request: Request) -> Response:
    import_id = request.path_params["id"]
    return await csv_download(house_of(request).database, rejects_csv, import_id, f"rejects-{import_id}.csv")


def _errors(error: Invalid) -> dict[str, str]:
    """By field; what is not about another one is about the mapping (`columns.email`)."""
    errors: dict[str, str] = {}
    for problem in error.problems:
        own = problem.path in ("kind", "file", "dry_run")
        field, text = (problem.path, problem.message) if own else ("mapping", str(problem))
        errors[field] = f"{errors[field]} {text}" if field in errors else text
    return errors


def _form_page(request: Request, kind: str, errors: dict[str, str]) -> Response:
    kinds = [(name, _(KIND_LABELS.get(name, name))) for name in KINDS]
    return page(request, "imports/form.html", status=422 if errors else 200, kind=kind, kinds=kinds, errors=errors)


ROUTES = [
    Route("/imports", listing, "imports", READERS),
    Route("/imports/new", new, "import_new", MARKETERS),
    Route("/imports/new", create, "import_create", MARKETERS, methods=("POST",), limit=UPLOAD_LIMIT),
    Route("/imports/{id:int}", show, "import", READERS),
    Route("/imports/{id:int}/rejects.csv", rejects, "import_rejects", READERS),
]
