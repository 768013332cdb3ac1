"""Compiled content: the value that a campaign keeps and every message is rendered from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cached_property, lru_cache
from typing import Any

from jinja2.environment import Template

from campaigns.content.filters import filters_for
from campaigns.content.limits import Budget, current
from campaigns.content.links import same_place
from campaigns.content.output import as_they_stand
from campaigns.content.sandbox import RENDER_ERRORS, ContentEnvironment, run, scope
from campaigns.content.surveys import survey_of
from campaigns.content.values import Link, MessageLinks, Rendered, Written
from customers.surveys import Survey
from runtime.errors import HearthError

MAX_ADDRESS = 8000


class RenderFailed(HearthError):
    """The content cannot be rendered for this person (too slow, too large, a value that does not fit); others are not
    concerned."""


@dataclass(frozen=True)
class CompiledContent:
    """Templates ready for rendering, with what they need.

    `fields` are the dotted names that the content uses, loops as their list's name (`customer.name`,
    `customer.attributes.color`, `appliance.model`, `appliances.model`, `orders.items.sku`, `today`, `campaign.name`);
    `links.*` are not among them. `click_fields` are the same for the links' addresses alone, which are rendered at
    the click.
    """

    subject: str
    html: str | None
    text: str
    links: tuple[Link, ...]
    fields: frozenset[str]
    click_fields: frozenset[str] = frozenset()
    warnings: tuple[str, ...] = ()
    language: str = "en"
    currency: str = "CNY"
    timezone: str = "Asia/Shanghai"
    version: int = 1

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; `from_json` gives an equal value back."""
        data = asdict(self)
        return {
            **data,
            "links": [asdict(link) for link in self.links],
            "fields": sorted(self.fields),
            "click_fields": sorted(self.click_fields),
            "warnings": list(self.warnings),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> CompiledContent:
        known = {field.name for field in fields(cls)}
        values = {name: value for name, value in data.items() if name in known}
        return cls(
            **{
                **values,
                "links": tuple(Link(**link) for link in data["links"]),
                "fields": frozenset(data["fields"]),
                "click_fields": frozenset(data["click_fields"]),
                "warnings": tuple(data["warnings"]),
            }
        )

    def write(self, person: Mapping[str, Any], links: MessageLinks) -> Written:
        """The content for one person, as it is sent.

        `person` holds plain values under the names of DESIGN.md ("What a template sees"): `customer`, `salesperson`,
        `dealer`, `household`, `appliance`, `order`, `campaign` as dicts (or None), `appliances`, `orders` as lists of
        dicts, `today` a date. A missing or None value renders empty. Raises RenderFailed past 1 s or 1 MB, or where an
        expression fails.
        """
        return self._write(person, links, Budget.fresh())

    def render(self, person: Mapping[str, Any], links: MessageLinks) -> Rendered:
        """As `write`, to be read, and with the names of what was missing."""
        budget = Budget.fresh(person)
        written = self._write(person, links, budget)
        html = None if written.html is None else str(written.html)
        return Rendered(written.subject, html, str(written.text), frozenset(budget.missing))

    def _write(self, person: Mapping[str, Any], links: MessageLinks, budget: Budget) -> Written:
        subject, html, text = self._templates
        clicks = links.clicks(len(self.links))
        token = current.set(budget)
        try:
            values = scope(person)
            values.update(links=links.pages, _pixel=links.pixel)
            in_text, in_html = as_they_stand(clicks, budget)
            return Written(
                subject=" ".join(run(subject, values, budget).raw.decode().split()),
                text=run(text, values, budget, in_text),
                html=None if html is None else run(html, values, budget, in_html),
            )
        except RENDER_ERRORS as error:
            raise RenderFailed(f"the content cannot be rendered for this person: {error}") from error
        finally:
            current.reset(token)

    def survey(self, index: int) -> tuple[Survey, int | None] | None:
        """The survey and the answer (None: still to be asked) that the tracked link `index` is about; None: no survey.
        Raises IndexError."""
        if not 0 <= index < len(self.links):
            raise IndexError(index)
        return survey_of(self.links[index].template)

    def click_target(self, index: int, person: Mapping[str, Any]) -> str:
        """Where the tracked link `index`, none of a survey, leads for this person: an absolute http(s) address whose
        scheme and host are literal.

        Raises IndexError for an index out of range, RenderFailed where an expression fails.
        """
        if self.survey(index) is not None:
            raise RenderFailed("the link of a survey is made for a message")
        budget = Budget.fresh()
        token = current.set(budget)
        try:
            address = run(self._link_templates[index], scope(person), budget).raw.decode()
        except RENDER_ERRORS as error:
            raise RenderFailed(f"the link cannot be rendered for this person: {error}") from error
        finally:
            current.reset(token)
        if len(address) > MAX_ADDRESS or not same_place(address, self.links[index].template):
            raise RenderFailed("the link is too long or leads elsewhere")
        return address

    def prepare(self) -> None:
        """Compile the templates now rather than with the first message. Raises SyntaxError past Python's nesting
        limits."""
        _ = self._templates, self._link_templates

    @cached_property
    def _templates(self) -> tuple[Template, Template | None, Template]:
        plain = environment(self.language, self.currency, self.timezone, autoescape=False)
        marked_up = environment(self.language, self.currency, self.timezone, autoescape=True)
        html = None if self.html is None else marked_up.from_string(self.html)
        return plain.from_string(self.subject), html, plain.from_string(self.text)

    @cached_property
    def _link_templates(self) -> list[Template]:
        plain = environment(self.language, self.currency, self.timezone, autoescape=False)
        return [plain.from_string(link.template) for link in self.links]


@lru_cache(maxsize=64)
def environment(language: str, currency: str, timezone: str, *, autoescape: bool) -> ContentEnvironment:
    """The environment in which such content is parsed and rendered."""
    return ContentEnvironment(filters_for(language, currency, timezone), autoescape=autoescape)
