"""What is odd about an upload, or was refused, in the words of its sheet."""

from __future__ import annotations

import re
from collections.abc import Sequence

from customers.imports.head import looks_like_data
from customers.values import Context
from runtime.errors import Invalid, Problem
from runtime.registry import channel_kinds
from segments.lines import LIST_KIND
from web.i18n import _
from web.sheet import Sheet
from web.sheet_words import encoding_name
from web.told import told
from web.vocabulary import channel_label

_NO_TEXT = re.compile("[\ufffd\ue000-\uf8ff]")
"""What stands for bytes that are no text, and signs that nobody agrees upon: of a wrong encoding, mostly."""
TOLD_APART = frozenset({"UTF-8", "GB18030 (GBK)", "Big5", "UTF-16", "UTF-16 LE", "UTF-16 BE"})

OWN_FIELDS = frozenset(
    {"kind", "file", "name", "dry_run", "create_missing", "consent_source", "consent_text", "consent_channels"}
)


def warnings_of(sheet: Sheet, context: Context, channels: Sequence[str] = ()) -> list[str]:
    """What a look at the first rows should not miss. `channels`: those to which new people consented."""
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
    found += _out_of_reach(sheet, channels)
    if _likelier(sheet):
        found.append(
            _("The file looks like %(encoding)s: compare the cells.", encoding=encoding_name(head.seems or ""))
        )
    elif any(_NO_TEXT.search("".join(row.cells)) for row in head.rows):
        found.append(_("Some cells hold bytes that are no text in this encoding (�): choose another encoding."))
    if len(head.header) == 1 and any(sign in head.header[0] for sign in ",;\t|"):
        found.append(_("Everything stands in one column: choose another delimiter."))
    doubled = sorted({name for name in head.header if list(head.header).count(name) > 1})
    if doubled:
        found.append(_("Several columns are called %(names)s: give each a name of its own.", names=", ".join(doubled)))
    return found


def _out_of_reach(sheet: Sheet, channels: Sequence[str]) -> list[str]:
    """New people can consent to a channel and still have no address there."""
    if not sheet.asked.creating:
        return []
    filled = {one.target for one in sheet.columns} | set(sheet.rest)
    kinds = {name: channel_kinds()[name].address_kind for name in channels if name in channel_kinds()}
    return [
        _(
            "No column holds the address for %(channel)s: no new person can be reached by it.",
            channel=channel_label(name),
        )
        for name, kind in kinds.items()
        if not {kind, f"identities.{kind}"} & filled
    ]


def _likelier(sheet: Sheet) -> bool:
    """Whether another encoding was chosen than the one that the file seems to have, of those that can be told apart."""
    chosen, seems = encoding_name(sheet.head.encoding), encoding_name(sheet.head.seems or "")
    if sheet.head.seems is None or chosen[:6] == seems[:6]:  # UTF-16 LE is UTF-16
        return False
    return seems == "UTF-8" or chosen in TOLD_APART


def errors_of(error: Invalid) -> dict[str, str]:
    """By field; what is not about a field of the form stands under `mapping`."""
    errors: dict[str, str] = {}
    for problem in error.problems:
        own = problem.path in OWN_FIELDS or (problem.path[:1] == "c" and problem.path[1:].isdecimal())
        field, text = (problem.path, told(problem.message)) if own else ("mapping", _plain(problem))
        errors[field] = f"{errors[field]} {text}" if field in errors else text
    return errors


def _plain(problem: Problem) -> str:
    """Without the words of a mapping file, which the form has no fields for."""
    return told(problem.message.partition("; the file has: ")[0] if problem.path == "columns" else problem)


def fault_of(fault: str | None) -> str | None:
    """Without the remedies of a mapping file: here the encoding can be chosen."""
    return fault and told(fault.partition("; save it as UTF-8")[0])
