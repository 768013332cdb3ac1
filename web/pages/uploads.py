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

from customers.imports.head import Head, looks_like_data, read_head
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
from segments.lines import LIST_KIND
from web.access import MARKETERS, Route, house_of, viewer_of
from web.i18n import N_, _
from web.pages.audiences import said
from web.render import page, redirect
from web.sheet import (
    DELIMITERS,
    ENCODINGS,
    IGNORED,
    KIND_LABELS,
    NAMED_DELIMITERS,
    Asked,
    Sheet,
    attribute_of,
    choices,
    make_sheet,
    read_asked,
    target_label,
)
from web.trial import Trial, try_sheet
from web.uploads import UPLOAD_LIMIT, consent_of, mapping_of, said_yes, store_pieces, uploaded

VERDICTS = {
    "good": {"text": N_("can be read"), "colour": "good"},
    "matched": {"text": N_("matched"), "colour": "good"},
    "new": {"text": N_("new customer"), "colour": "info"},
    "unmatched": {"text": N_("unmatched"), "colour": "neutral"},
    "ambiguous": {"text": N_("ambiguous"), "colour": "warn"},
    "duplicate": {"text": N_("duplicate"), "colour": "neutral"},
    "unreadable": {"text": N_("unreadable"), "colour": "bad"},
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
        return _form_page(request, kind, _errors(error))
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
    async with house_of(request).database.begin() as conn:
        name, by = upload.filename or "file", viewer_of(request).name
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


def _said(fault: str | None) -> str | None:
    """Without the remedies of a mapping file: here the encoding can be chosen."""
    return fault and fault.partition("; save it as UTF-8")[0]


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
    context = Context(house.settings.zone, house.settings.country)
    errors = _errors(error) if error else _errors(trial.fault) if trial.fault else {}
    listing_route, new_route = BACK[found.kind == LIST_KIND]
    return page(
        request,
        "uploads/sheet.html",
        status=422 if error else 200,
        partial="sheet",
        upload=found,
        sheet=sheet,
        trial=trial,
        errors=errors,
        refused=error is not None,
        groups=choices(asked, kinds),
        given=given,
        is_list=found.kind == LIST_KIND,
        name=str(given.get("name", "")) or _stem(found.filename),
        fault=_said(sheet.head.fault),
        warnings=_warnings(sheet, context),
        kinds=[(name, _(KIND_LABELS[name])) for name in KINDS],
        encodings=ENCODINGS,
        delimiters=[(name, _(DELIMITERS[sign])) for name, sign in NAMED_DELIMITERS.items()],
        delimiter_name=_(DELIMITERS.get(sheet.head.delimiter, sheet.head.delimiter)),
        encoding_name=_encoding_name(sheet.head.encoding),
        channels=list(channel_kinds().values()),
        attribute_of=lambda name: attribute_of(asked.kind, asked.creating, name),
        target_label=target_label,
        verdict_words=VERDICTS,
        said=said,
        IGNORED=IGNORED,
        listing_route=listing_route,
        new_route=new_route,
    )


def _warnings(sheet: Sheet, context: Context) -> list[str]:
    head = sheet.head
    if head.fault is not None:
        return []
    found = []
    if sheet.named and looks_like_data(head.header, context):
        found.append(
            _("The first line looks like data, but it must name the columns: it is left out. Put names above it.")
            if sheet.asked.kind != LIST_KIND
            else _("The first line looks like data, but is taken for names: it is left out.")
        )
    broken = sum("\ufffd" in "".join(row.cells) for row in head.rows)
    if broken:
        found.append(_("Some cells hold bytes that are no text in this encoding (�): choose another encoding."))
    if len(head.header) == 1 and any(sign in head.header[0] for sign in ",;\t|"):
        found.append(_("Everything stands in one column: choose another delimiter."))
    doubled = sorted({name for name in head.header if list(head.header).count(name) > 1})
    if doubled:
        found.append(_("Several columns are called %(names)s: give each a name of its own.", names=", ".join(doubled)))
    return found


def _encoding_name(encoding: str) -> str:
    return ENCODINGS.get(encoding.removesuffix("-sig"), encoding.upper())


def _stem(filename: str) -> str:
    """A file's name as the name of a list: without folder and endings."""
    stem = filename.replace("\\", "/").rpartition("/")[2]
    for ending in (".gz", ".zip", ".csv", ".tsv", ".txt"):
        stem = stem[: -len(ending)] if stem.lower().endswith(ending) and len(stem) > len(ending) else stem
    return stem[:200]


def _errors(error: Invalid) -> dict[str, str]:
    """By field; what is not about a field of the form stands under `mapping`."""
    errors: dict[str, str] = {}
    for problem in error.problems:
        own = problem.path in OWN_FIELDS or (problem.path[:1] == "c" and problem.path[1:].isdecimal())
        field, text = (problem.path, problem.message) if own else ("mapping", _plain(problem))
        errors[field] = f"{errors[field]} {text}" if field in errors else text
    return errors


OWN_FIELDS = frozenset(
    {"kind", "file", "name", "dry_run", "create_missing", "consent_source", "consent_text", "consent_channels"}
)


def _plain(problem: Problem) -> str:
    """Without the words of a mapping file, which the form has no fields for."""
    return problem.message.partition("; the file has: ")[0] if problem.path == "columns" else str(problem)


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
