"""A file that somebody uploads, put into the database piece by piece."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.datastructures import FormData, UploadFile

from customers.imports.source import check_announced
from customers.imports.uploads import append_chunk, create_import, enqueue_import
from runtime.errors import Invalid, Problem, TooLarge
from segments.audiences import create_audience, enqueue_audience
from segments.strangers import ListConsent, read_list_consent
from web.access import MIB
from web.strict_json import read_json

UPLOAD_LIMIT = 2_048 * MIB
PIECE = 4 * MIB
MAPPING_LIMIT = 1 * MIB


async def take_import(conn: AsyncConnection, form: FormData, by: str) -> int:
    """Queue the import that a form asks for (`kind`, `file`, `mapping?`, `dry_run?`): its id. Raises Invalid."""
    upload = uploaded(form)
    import_id = await create_import(
        conn,
        kind=str(form.get("kind", "")),
        filename=name_of(upload),
        mapping=await mapping_of(form),
        dry_run=said_yes(form, "dry_run"),
        created_by=by,
    )
    await store_pieces(conn, import_id, upload)
    await enqueue_import(conn, import_id)
    return import_id


async def take_audience(conn: AsyncConnection, form: FormData, by: str) -> int:
    """Queue the list that a form asks for (`name`, `file`, `mapping?`, `create_missing?` with `consent_…`): its id.
    Raises Invalid."""
    upload = uploaded(form)
    made = await create_audience(
        conn,
        name=str(form.get("name", "")),
        filename=name_of(upload),
        mapping=await mapping_of(form),
        consent=consent_of(form),
        by=by,
    )
    assert made.import_id is not None, "a list that is made from a file has its import"
    await store_pieces(conn, made.import_id, upload)
    await enqueue_audience(conn, made.id)
    return made.id


def consent_of(form: FormData) -> ListConsent | None:
    """What the people whom a list makes customers agreed to; None where it makes none (`create_missing`). Channels are
    given several times, or in one text with commas. Raises Invalid."""
    if not said_yes(form, "create_missing"):
        return None
    given = ",".join(str(one) for one in form.getlist("consent_channels"))
    channels = [one.strip().lower() for one in given.split(",") if one.strip()]
    return read_list_consent(str(form.get("consent_source", "")), str(form.get("consent_text", "")), channels)


async def store_pieces(conn: AsyncConnection, import_id: int, upload: UploadFile) -> None:
    """The file's bytes under the import. Raises TooLarge for a packed file that is a bomb."""
    await asyncio.to_thread(check_announced, name_of(upload), upload.file)
    position = 0
    async for piece in pieces(upload):
        await append_chunk(conn, import_id, position, piece)
        position += 1


async def pieces(upload: UploadFile) -> AsyncIterator[bytes]:
    while piece := await upload.read(PIECE):
        yield piece


def uploaded(form: FormData) -> UploadFile:
    """The file of a form. Raises Invalid naming `file`."""
    found = form.get("file")
    if not isinstance(found, UploadFile) or not found.filename:
        raise Invalid(Problem("file", "choose a file: CSV, also as .gz or .zip"))
    if found.size == 0:
        raise Invalid(Problem("file", f"{name_of(found)!r} is empty"))
    return found


def name_of(upload: UploadFile) -> str:
    """The file's name; browsers write quotes and line ends of it as percent signs (the HTML standard's multipart)."""
    name = upload.filename or "file"
    for written, meant in (("%22", '"'), ("%0D", " "), ("%0A", " ")):
        name = name.replace(written, meant)
    return name


async def mapping_of(form: FormData) -> Any:
    """The mapping of a form, as text or as a file; None without one. Raises Invalid, TooLarge naming `mapping`."""
    given = form.get("mapping")
    text = await given.read(MAPPING_LIMIT + 1) if isinstance(given, UploadFile) else given
    if not text:
        return None
    if len(text) > MAPPING_LIMIT:
        raise TooLarge(f"mapping: larger than {MAPPING_LIMIT // MIB} MiB; give the file itself as `file`")
    try:
        return read_json(text)
    except ValueError as error:
        raise Invalid(Problem("mapping", f"is not JSON: {error}")) from None


def said_yes(form: FormData, name: str) -> bool:
    """A yes of a form. Raises Invalid for what is neither yes nor no."""
    said = str(form.get(name, "")).strip().lower()
    if said in ("", "no", "false", "0"):
        return False
    if said in ("yes", "true", "1", "on"):
        return True
    raise Invalid(Problem(name, f"{said[:20]!r} is neither true nor false"))
