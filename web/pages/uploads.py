"""Uploads of lists and imports: a file is stored, looked at, told what its columns mean, and then taken in."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import anyio
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response

from customers.imports.head import Head, read_head
from customers.imports.pending import (
    Pending,
    confirm_import,
    create_pending,
    discard_pending,
    download_head,
    pending,
    seal_pending,
)
from customers.imports.source import Source
from customers.imports.targets import KINDS
from customers.reading import identity_kinds
from customers.values import Context
from runtime.errors import HearthError, Invalid, Problem
from runtime.registry import channel_kinds
from segments.audiences import create_from_upload, enqueue_audience
from segments.lines import LIST_KIND, read_list_mapping
from web.access import MARKETERS, Route, house_of, viewer_of
from web.i18n import N_, _
from web.pages.audiences import said
from web.render import page, redirect
from web.sheet import IGNORED, Asked, Sheet, make_sheet, read_asked
from web.sheet_faults import errors_of, fault_of, warnings_of
from web.sheet_words import (
    DELIMITERS,
    ENCODINGS,
    KIND_LABELS,
    NAMED_DELIMITERS,
    attribute_of,
    choices,
    encoding_name,
    target_label,
)
from web.trial import Trial, try_sheet
from web.uploads import UPLOAD_LIMIT, consent_of, mapping_of, name_of, said_yes, store_pieces, uploaded

VERDICTS = {
    "good": {"text": N_("can be read"), "colour": "good"},
    "matched": {"text": N_("matched"), "colour": "good"},
    "new": {"text": N_("new customer"), "colour": "info"},
    "unmatched": {"text": N_("unmatched"), "colour": "neutral"},
    "ambiguous": {"text": N_("ambiguous"), "colour": "warn"},
    "duplicate": {"text": N_("duplicate"), "colour": "neutral"},
    "bad": {"text": N_("refused"), "colour": "bad"},
}
BACK = {True: ("audiences", "audience_new"), False: ("imports", "import_new")}


async def new_list(request: Request) -> Response:
    return _form_page(request, LIST_KIND, {})


async def new_import(request: Request) -> Response:
    return _form_page(request, str(request.query_params.get("kind", "customers")), {})


async def take(request: Request) -> Response:
    """Store the file; what it means is said on the next page."""
    form = await request.form()
    kind = LIST_KIND if request.url.path.startswith("/audiences") else str(form.get("kind", ""))
    try:
        upload_id = await _store(request, form, kind)
    except Invalid as error:
        if request.headers.get("HX-Request"):
            raise
        return _form_page(request, kind, errors_of(error))
    return redirect(request, "upload", id=upload_id)


async def look(request: Request) -> Response:
    """The first rows of a stored file, with what each column means; the form's fields in the address are tried."""
    async with house_of(request).database.connect() as conn:
        found = await pending(conn, request.path_params["id"])
    return await _sheet_page(request, found, read_asked(request.query_params, found.kind), request.query_params)


async def confirm(request: Request) -> Response:
    """Take the file in, as it was looked at."""
    form = await request.form()
    house, upload_id = house_of(request), request.path_params["id"]
    async with house.database.connect() as conn:
        found = await pending(conn, upload_id)
    asked = read_asked({name: str(value) for name, value in form.items()}, found.kind)
    try:
        sheet = await _read_sheet(request, found, asked)
        _check_same_columns(asked, sheet)
        mapping = sheet.mapping()
        async with house.database.begin() as conn:
            if found.kind == LIST_KIND:
                return await _confirm_list(request, conn, form, upload_id, mapping)
            dry_run = said_yes(form, "dry_run")
            await confirm_import(conn, upload_id, kind=asked.kind, mapping=mapping, dry_run=dry_run)
    except Invalid as error:
        return await _sheet_page(request, found, asked, form, error)
    return redirect(request, "import", id=upload_id)


async def discard(request: Request) -> Response:
    async with house_of(request).database.begin() as conn:
        found = await pending(conn, request.path_params["id"])
        await discard_pending(conn, found.id)
    flash = _("%(file)s is forgotten.", file=found.filename[:200])
    return redirect(request, BACK[found.kind == LIST_KIND][0], flash=flash)


async def _store(request: Request, form: FormData, kind: str) -> int:
    upload = uploaded(form)
    if kind != LIST_KIND and kind not in KINDS:
        raise Invalid(Problem("kind", _("choose what is in the file")))
    mapping = await mapping_of(form)
    if kind == LIST_KIND and mapping is not None:
        read_list_mapping(mapping, creating=True)  # imports are checked where drafts are made
    async with house_of(request).database.begin() as conn:
        name, by = name_of(upload), viewer_of(request).name
        upload_id = await create_pending(conn, kind=kind, filename=name, mapping=mapping, by=by)
        await store_pieces(conn, upload_id, upload)
        await seal_pending(conn, upload_id)
    return upload_id


async def _confirm_list(
    request: Request, conn: AsyncConnection, form: FormData, upload_id: int, mapping: dict[str, Any]
) -> Response:
    consent = consent_of(form)
    if consent is not None and not consent.channels:
        raise Invalid(Problem("consent_channels", _("choose at least one")))
    name, by = str(form.get("name", "")), viewer_of(request).name
    made = await create_from_upload(conn, upload_id, name=name, mapping=mapping, consent=consent, by=by)
    await enqueue_audience(conn, made.id)
    return redirect(request, "audience", id=made.id)


async def _read_sheet(request: Request, found: Pending, asked: Asked) -> Sheet:
    with tempfile.TemporaryDirectory(prefix="hearth-head-") as folder:
        return await _sheet_of(request, found, asked, Path(folder))


async def _sheet_of(request: Request, found: Pending, asked: Asked, folder: Path) -> Sheet:
    settings = house_of(request).settings
    head = await _head(request, found, asked, folder)
    return make_sheet(asked, head, found.mapping, Context(settings.zone, settings.country))


async def _head(request: Request, found: Pending, asked: Asked, folder: Path) -> Head:
    """What is wrong with the whole file stands in `fault`."""
    given = found.mapping if isinstance(found.mapping, dict) else {}
    encoding = asked.encoding or (given.get("encoding") if not asked.header_mark else None) or None
    delimiter = asked.delimiter_sign or (given.get("delimiter") if not asked.header_mark else None)
    source = Source(folder / "file", found.filename)
    try:
        async with house_of(request).database.connect() as conn:
            await download_head(conn, found.id, source.path)
        return await anyio.to_thread.run_sync(lambda: read_head(source, folder, encoding=encoding, delimiter=delimiter))
    except HearthError as error:
        return Head(encoding or "utf-8", delimiter or ",", (), fault=str(error))


def _check_same_columns(asked: Asked, sheet: Sheet) -> None:
    if sheet.head.fault is not None:
        raise Invalid(sheet.head.fault)
    if asked.header_mark != sheet.mark:
        raise Invalid(_("The columns are others now that the file is read differently: look at them once more."))


async def _sheet_page(
    request: Request, found: Pending, asked: Asked, given: Any, error: Invalid | None = None
) -> Response:
    house = house_of(request)
    with tempfile.TemporaryDirectory(prefix="hearth-head-") as folder:
        sheet = await _sheet_of(request, found, asked, Path(folder))
        trial = Trial() if sheet.head.fault else await try_sheet(house, sheet, Path(folder))
    async with house.database.connect() as conn:
        kinds = await identity_kinds(conn)
    errors = errors_of(error) if error else errors_of(trial.fault) if trial.fault else {}
    return page(
        request,
        "uploads/sheet.html",
        status=422 if error else 200,
        partial="sheet",
        swapped=request.headers.get("HX-Target") == "sheet",
        upload=found,
        sheet=sheet,
        trial=trial,
        errors=errors,
        refused=error is not None,
        given=given,
        name=str(given.get("name", "")) or _stem(found.filename),
        fault=fault_of(sheet.head.fault),
        warnings=warnings_of(sheet, Context(house.settings.zone, house.settings.country), _channels_of(given)),
        groups=choices(asked.kind, kinds, creating=asked.creating),
        attribute_of=lambda name: attribute_of(asked.kind, asked.creating, name),
        **_menus(sheet, found.kind == LIST_KIND),
    )


def _channels_of(given: Any) -> list[str]:
    """The channels that are ticked in the form; the first one until it says something."""
    ticked = [str(name) for name in given.getlist("consent_channels")] if hasattr(given, "getlist") else []
    return ticked or list(channel_kinds())[:1]


def _menus(sheet: Sheet, is_list: bool) -> dict[str, Any]:
    """What the sheet offers and says, whatever the file."""
    return {
        "is_list": is_list,
        "listing_route": BACK[is_list][0],
        "kinds": [(name, _(KIND_LABELS[name])) for name in KINDS],
        "encodings": ENCODINGS,
        "encoding_name": encoding_name(sheet.head.encoding),
        "delimiters": [(name, _(DELIMITERS[sign])) for name, sign in NAMED_DELIMITERS.items()],
        "delimiter_name": _(DELIMITERS.get(sheet.head.delimiter, sheet.head.delimiter)),
        "channels": list(channel_kinds().values()),
        "target_label": target_label,
        "verdict_words": VERDICTS,
        "said": said,
        "IGNORED": IGNORED,
    }


def _stem(filename: str) -> str:
    """A file's name as the name of a list: without folder and endings."""
    stem = filename.replace("\\", "/").rpartition("/")[2]
    for ending in (".gz", ".zip", ".csv", ".tsv", ".txt"):
        stem = stem[: -len(ending)] if stem.lower().endswith(ending) and len(stem) > len(ending) else stem
    return stem[:200]


def _form_page(request: Request, kind: str, errors: dict[str, str]) -> Response:
    kinds = [(name, _(KIND_LABELS[name])) for name in KINDS]
    is_list = kind == LIST_KIND
    listing_route, new_route = BACK[is_list]
    return page(
        request,
        "uploads/form.html",
        status=422 if errors else 200,
        kind=kind,
        kinds=kinds,
        is_list=is_list,
        errors=errors,
        listing_route=listing_route,
        new_route=new_route,
    )


ROUTES = [
    Route("/audiences/new", new_list, "audience_new", MARKETERS),
    Route("/audiences/new", take, "audience_create", MARKETERS, methods=("POST",), limit=UPLOAD_LIMIT),
    Route("/imports/new", new_import, "import_new", MARKETERS),
    Route("/imports/new", take, "import_create", MARKETERS, methods=("POST",), limit=UPLOAD_LIMIT),
    Route("/uploads/{id:int}", look, "upload", MARKETERS),
    Route("/uploads/{id:int}", confirm, "upload_confirm", MARKETERS, methods=("POST",)),
    Route("/uploads/{id:int}/discard", discard, "upload_discard", MARKETERS, methods=("POST",)),
]
