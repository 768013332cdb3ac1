"""Compile content once a campaign: check, inline, rewrite the links, add what a mail needs."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from campaigns.content.compiled import CompiledContent, environment
from campaigns.content.filters import FILTERS
from campaigns.content.footer import text_footer
from campaigns.content.lines import break_lines
from campaigns.content.links import MAX_LINKS, LinkTable
from campaigns.content.markup import Mail, link_variable
from campaigns.content.masking import Masked, prepared
from campaigns.content.names import VALUE, Shape, shapes
from campaigns.content.plaintext import text_from_html, track_addresses
from campaigns.content.sandbox import ContentEnvironment
from campaigns.content.surveys import survey_of, written_out
from campaigns.content.usage import usage_of
from campaigns.content.walk import Usage
from runtime.errors import Invalid, Problem

MAX_SUBJECT = 1_000
MAX_SOURCE = 300_000


def compile_content(
    *,
    subject: str,
    html: str | None = None,
    mjml: str | None = None,
    text: str | None = None,
    language: str = "en",
    currency: str = "CNY",
    timezone: str = "Asia/Shanghai",
    attributes: Collection[str] | None = None,
) -> CompiledContent:
    """Check and compile content; Jinja in subject, body, text and in path and query of links.

    One of `html`, `mjml`, `text` at least; `text` alone makes a plain mail; surveys as `content.surveys` has them.
    `language` (BCP 47) is that of dates,
    numbers and the footer; `attributes` the keys that `customer.attributes` may have (None: any). Takes some 10 to
    500 ms of CPU: not for the event loop. Raises Invalid with one Problem per culprit, path `subject`, `html`, `mjml`
    or `text`, the line in the message.
    """
    parts = _with_surveys(_given(subject, html, mjml, text), language)
    plain = environment(language, currency, timezone, autoescape=False)
    known = shapes(attributes)
    usages = {part: usage_of(source, part, known, plain) for part, source in parts.items()}
    _refuse([problem for usage in usages.values() for problem in usage.problems])
    table = LinkTable()
    html_template, text_template = _bodies(parts, usages, plain, table, language)
    _refuse(table.problems)
    return _finished(parts["subject"], html_template, text_template, table, known, language, currency, timezone)


def _given(subject: str, html: str | None, mjml: str | None, text: str | None) -> dict[str, str]:
    """The parts that there are, ready for work."""
    given = {"subject": " ".join(subject.split()), "html": html, "mjml": mjml, "text": text}
    parts = {part: prepared(source) for part, source in given.items() if source and source.strip()}
    problems = []
    if "subject" not in parts:
        problems.append(Problem("subject", "a mail needs a subject"))
    if not parts.keys() & {"html", "mjml", "text"}:
        problems.append(Problem("html", "a mail needs a body: html, mjml or text"))
    if {"html", "mjml"} <= parts.keys():
        problems.append(Problem("mjml", "give either html or mjml"))
    for part, source in parts.items():
        limit = MAX_SUBJECT if part == "subject" else MAX_SOURCE
        if len(source) > limit:
            problems.append(Problem(part, f"has {len(source)} characters, at most {limit} are possible"))
    _refuse(problems)
    return parts


def _with_surveys(parts: Mapping[str, str], language: str) -> dict[str, str]:
    return {
        part: source if part == "subject" else written_out(source, part, language) for part, source in parts.items()
    }


def _bodies(
    parts: Mapping[str, str], usages: Mapping[str, Usage], plain: ContentEnvironment, table: LinkTable, language: str
) -> tuple[str | None, str]:
    """The templates of the HTML and of the text part."""
    html, made = None, ""
    for part in parts.keys() & {"html", "mjml"}:
        masked = Masked(parts[part], plain, part)
        mail = Mail(masked, part, usages[part].own, table)
        leads_out = "unsubscribe" in usages[part].links and mail.leads_out()
        html = break_lines(mail.template(with_footer=not leads_out, language=language))
        made = masked.restore(text_from_html(mail.tree, masked), link_variable)
        made += "" if leads_out else text_footer(language)
    if "text" not in parts:
        return html, made
    masked = Masked(parts["text"], plain, "text")
    text = masked.restore(track_addresses(masked, usages["text"].own, table), link_variable)
    return html, text + ("" if "unsubscribe" in usages["text"].links else text_footer(language))


def _finished(
    subject: str,
    html: str | None,
    text: str,
    table: LinkTable,
    known: Mapping[str, Shape],
    language: str,
    currency: str,
    timezone: str,
) -> CompiledContent:
    """The value, its templates checked once more as they will run."""
    links = table.links()
    if len(links) > MAX_LINKS:
        raise Invalid(Problem("html", f"has {len(links)} different links, at most {MAX_LINKS} are possible"))
    inner = {**known, "_pixel": VALUE, **{f"_c{link.index}": VALUE for link in links}}
    plain = environment(language, currency, timezone, autoescape=False)
    fields = _fields({"subject": subject, "html": html or "", "text": text}, inner, plain)
    rendered = [link for link in links if survey_of(link.template) is None]
    click_fields = _fields({f"link {link.index + 1}": link.template for link in rendered}, known, plain)
    content = CompiledContent(
        subject=subject,
        html=html,
        text=text,
        links=links,
        fields=frozenset(fields),
        click_fields=frozenset(click_fields),
        warnings=tuple(dict.fromkeys(table.warnings)),
        language=language,
        currency=currency,
        timezone=timezone,
    )
    try:
        content.prepare()
    except (SyntaxError, RecursionError) as error:  # Python's own limits: nesting of loops, length of elif chains
        raise Invalid(Problem("html", f"the template is nested too deeply: {error}")) from None
    return content


def _fields(templates: Mapping[str, str], known: Mapping[str, Shape], plain: ContentEnvironment) -> set[str]:
    usages = [usage_of(source, part, known, plain, {*FILTERS, "_url", "_css"}) for part, source in templates.items()]
    _refuse([problem for usage in usages for problem in usage.problems])
    return {field for usage in usages for field in usage.fields}


def _refuse(problems: list[Problem]) -> None:
    if problems:
        raise Invalid(problems)
