"""What is odd about an upload, or was refused, in the words of its sheet."""

from __future__ import annotations

from customers.imports.head import looks_like_data
from customers.values import Context
from runtime.errors import Invalid, Problem
from segments.lines import LIST_KIND
from web.i18n import _
from web.sheet import Sheet

OWN_FIELDS = frozenset(
    {"kind", "file", "name", "dry_run", "create_missing", "consent_source", "consent_text", "consent_channels"}
)


def warnings_of(sheet: Sheet, context: Context) -> list[str]:
    """What a look at the first rows should not miss."""
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


def errors_of(error: Invalid) -> dict[str, str]:
    """By field; what is not about a field of the form stands under `mapping`."""
    errors: dict[str, str] = {}
    for problem in error.problems:
        own = problem.path in OWN_FIELDS or (problem.path[:1] == "c" and problem.path[1:].isdecimal())
        field, text = (problem.path, problem.message) if own else ("mapping", _plain(problem))
        errors[field] = f"{errors[field]} {text}" if field in errors else text
    return errors


def _plain(problem: Problem) -> str:
    """Without the words of a mapping file, which the form has no fields for."""
    return problem.message.partition("; the file has: ")[0] if problem.path == "columns" else str(problem)


def fault_of(fault: str | None) -> str | None:
    """Without the remedies of a mapping file: here the encoding can be chosen."""
    return fault and fault.partition("; save it as UTF-8")[0]
