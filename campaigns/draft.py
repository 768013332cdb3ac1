"""What a request says about a campaign or template, checked for shape: every culprit named, nothing ignored."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from campaigns.content import CompiledContent, compile_content
from campaigns.due import read_schedule
from campaigns.options import read_options
from campaigns.timing import conflicts
from runtime.errors import Invalid, Problem
from runtime.settings import Settings
from runtime.text import printable

Body = Mapping[str, Any]

AUDIENCE = ("segment_id", "audience_id", "rule")
FIELDS = frozenset(
    {"name", "channel", *AUDIENCE, "exclude_segment_ids", "from", "content", "template_id", "schedule", "options"}
)
TEMPLATE_FIELDS = frozenset({"name", "channel", "subject", "html", "mjml", "text"})
CONTENT_FIELDS = frozenset({"subject", "html", "mjml", "text"})
_NAME_LIMIT = 200


@dataclass(frozen=True)
class Draft:
    """A campaign as asked for: the values of its columns, checked in themselves but not against the database."""

    columns: Mapping[str, Any]


def read_draft(body: Body) -> Draft:
    """The whole record of a campaign. Raises Invalid with every Problem found."""
    problems = _strange(body, FIELDS)
    problems += [
        *_name(body),
        *_one_of(body, AUDIENCE),
        *_one_of(body, ("content", "template_id")),
        *(_id(body, "segment_id") + _id(body, "audience_id") + _id(body, "template_id")),
        *_ids(body, "exclude_segment_ids"),
        *_text(body, "channel"),
        *_sender(body),
        *(_content_shape(body["content"], "content.") if body.get("content") is not None else []),
    ]
    schedule, options = None, None
    try:
        schedule = read_schedule(body.get("schedule"))
    except Invalid as error:
        problems += error.problems
    try:
        options = read_options(body.get("options"))
    except Invalid as error:
        problems += error.problems
    if schedule is not None and options is not None:
        problems += conflicts(schedule, options)
    if problems or schedule is None or options is None:
        raise Invalid(problems)
    return Draft(
        {
            "name": body["name"].strip(),
            "channel": body["channel"],
            **{key: body.get(key) for key in (*AUDIENCE, "content", "template_id")},
            "exclude_segment_ids": sorted(set(body.get("exclude_segment_ids") or [])),
            "sender": body.get("from") or None,
            "schedule": schedule.to_json(),
            "options": options.to_json(),
        }
    )


def read_template(body: Body) -> Draft:
    """A template's columns; its content is that of a campaign without the wrapping. Raises Invalid."""
    content = {key: value for key, value in body.items() if key in CONTENT_FIELDS and value is not None}
    problems = [*_strange(body, TEMPLATE_FIELDS), *_name(body), *_text(body, "channel"), *_content_shape(content, "")]
    if problems:
        raise Invalid(problems)
    return Draft({"name": body["name"].strip(), "channel": body["channel"], "content": content})


def compiled(
    content: Body, settings: Settings, attributes: Collection[str], prefix: str = "content."
) -> CompiledContent:
    """The content as it would be sent. Raises Invalid whose paths begin with `prefix`."""
    parts = {key: content.get(key) or None for key in ("html", "mjml", "text")}
    try:
        return compile_content(
            subject=content.get("subject") or "",
            **parts,
            language=language_of(content),
            currency=settings.currency,
            timezone=settings.timezone,
            attributes=attributes,
        )
    except Invalid as error:
        raise Invalid(
            [Problem(f"{prefix}{problem.path}".rstrip("."), problem.message) for problem in error.problems]
        ) from None


def language_of(content: Body) -> str:
    """Chinese where the content has Chinese characters: so are its dates, numbers and the footer that Hearth adds."""
    words = "".join(str(value) for value in content.values())
    return "zh" if any("\u4e00" <= sign <= "\u9fff" for sign in words) else "en"


def _strange(body: Body, known: Collection[str]) -> list[Problem]:
    return [
        Problem(key, f"unknown field; there are: {', '.join(sorted(known))}") for key in sorted(set(body) - set(known))
    ]


def _name(body: Body) -> list[Problem]:
    name = body.get("name")
    if isinstance(name, str) and 0 < len(name.strip()) <= _NAME_LIMIT and name.isprintable():
        return []
    return [Problem("name", f"must be one line of 1 to {_NAME_LIMIT} characters")]


def _text(body: Body, key: str) -> list[Problem]:
    return [] if isinstance(body.get(key), str) and body[key] else [Problem(key, "is missing")]


def _one_of(body: Body, keys: Collection[str]) -> list[Problem]:
    given = [key for key in keys if body.get(key) is not None]
    if len(given) == 1:
        return []
    names = ", ".join(keys)
    return [Problem(given[-1] if given else next(iter(keys)), f"exactly one of {names} must be given")]


def _id(body: Body, key: str) -> list[Problem]:
    value = body.get(key)
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**63):
        return []
    return [Problem(key, f"must be the id of one, not {value!r}")]


def _ids(body: Body, key: str) -> list[Problem]:
    values = body.get(key)
    if values is None:
        return []
    if not isinstance(values, list):
        return [Problem(key, "must be a list of ids")]
    return [
        problem for index, value in enumerate(values) for problem in _id({f"{key}[{index}]": value}, f"{key}[{index}]")
    ]


def _sender(body: Body) -> list[Problem]:
    value = body.get("from")
    if value is None or (isinstance(value, str) and value.isprintable()):
        return []
    return [Problem("from", "must be a sender like 'Name <address@example.com>'")]


def _content_shape(content: Any, prefix: str) -> list[Problem]:
    if not isinstance(content, Mapping):
        return [Problem(prefix.rstrip("."), 'must be an object {"subject", "html" or "mjml", "text"}')]
    problems = [Problem(f"{prefix}{key}", "unknown field") for key in sorted(set(content) - CONTENT_FIELDS)]
    problems += [
        Problem(f"{prefix}{key}", "must be text")
        for key, value in content.items()
        if key in CONTENT_FIELDS and value is not None and not isinstance(value, str)
    ]
    problems += [
        Problem(f"{prefix}{key}", "holds a character that no text can hold (NUL or half a surrogate pair)")
        for key, value in content.items()
        if isinstance(value, str) and printable(value) != value
    ]
    if content.get("html") and content.get("mjml"):
        problems.append(Problem(f"{prefix}mjml", "only one of html and mjml can be given"))
    return problems
