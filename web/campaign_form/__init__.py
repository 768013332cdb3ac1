"""The form of a campaign: between its fields as a browser sends them and the body that `campaigns.store` takes.

It is made of sections, a class and a template each: section.py says what one is, and how an option is added to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.datastructures import FormData

from campaigns.store import Campaign
from runtime.errors import Problem
from runtime.settings import Settings
from web.campaign_form.audience import Audience
from web.campaign_form.content import Content, Writing
from web.campaign_form.experiment import Experiment
from web.campaign_form.respect import Respect
from web.campaign_form.section import Offered, Section
from web.campaign_form.speed import Speed
from web.campaign_form.when import When
from web.i18n import N_, _
from web.told import told

_WRITTEN = Writing.names()
_LABELS = {
    "from": N_("From"),
    "segment_id": N_("Segment"),
    "audience_id": N_("List"),
    "template_id": N_("Template"),
    "content": N_("Content"),
    "content.subject": N_("Subject"),
    "content.text": N_("Plain text"),
    "schedule": N_("When"),
    "schedule.at": N_("Day and time"),
    "options.experiment": N_("Experiment"),
}


@dataclass(frozen=True)
class CampaignForm:
    """All sections, in the order in which the page shows them. `kept`: what no section shows, a rule and options."""

    name: str = ""
    audience: Audience = field(default_factory=Audience)
    content: Content = field(default_factory=Content)
    when: When = field(default_factory=When)
    respect: Respect = field(default_factory=Respect)
    experiment: Experiment = field(default_factory=Experiment)
    speed: Speed = field(default_factory=Speed)
    kept: Mapping[str, Any] = field(default_factory=dict)

    @property
    def sections(self) -> tuple[Section, ...]:
        return (self.audience, self.content, self.when, self.respect, self.experiment, self.speed)

    def body(self, settings: Settings) -> dict[str, Any]:
        """What the API would take for the same. Raises Invalid for what is no number or time."""
        body: dict[str, Any] = {"name": self.name, "channel": "email"}
        for section in self.sections:
            body |= section.columns(settings)
        if "rule" in self.kept and not {"segment_id", "audience_id"} & body.keys():
            body["rule"] = self.kept["rule"]
        return {**body, "options": self._options()}

    def _options(self) -> dict[str, Any]:
        spoken = frozenset().union(*(section.OPTIONS for section in self.sections))
        options = {name: value for name, value in self.kept.get("options", {}).items() if name not in spoken}
        for section in self.sections:
            options |= {name: value for name, value in section.options().items() if value is not None}
        return options


async def offers(conn: AsyncConnection, form: CampaignForm) -> dict[str, Offered]:
    """What each section lets people choose from, by the section's name."""
    return {section.NAME: await section.offers(conn) for section in form.sections}


def sentences(form: CampaignForm, offered: Mapping[str, Offered], settings: Settings) -> list[str]:
    """What will happen, in people's words."""
    return [said for section in form.sections for said in section.say(offered[section.NAME], settings)]


def errors_by_field(
    problems: Iterable[Problem], sections: Iterable[Section], hidden: frozenset[str] = frozenset()
) -> tuple[dict[str, str], list[Problem]]:
    """What is wrong with each field that is shown, and what belongs to none of them."""
    paths = {"name": "name"}
    for section in sections:
        paths |= section.PATHS
    errors: dict[str, str] = {}
    others = []
    for problem in problems:
        name = _field_at(problem.path, paths)
        if name is None or name in hidden:
            others.append(problem)
        else:
            said = told(problem.message)
            errors[name] = f"{errors[name]}; {said}" if name in errors else said
    return errors, others


def label_of(path: str) -> str:
    """What the form calls what the API names `path`; as it is where the form has no word for it."""
    label = _field_at(path, _LABELS)
    return _(label) if label else path


def hidden_fields(form: CampaignForm) -> frozenset[str]:
    """The editor, where a template is chosen: what is wrong with the template is told above the form."""
    return _WRITTEN if form.content.template_id else frozenset()


def form_of(found: Campaign, settings: Settings) -> CampaignForm:
    """The form that shows a draft."""
    return CampaignForm(
        found.name,
        Audience.fill(found, settings),
        Content.fill(found, settings),
        When.fill(found, settings),
        Respect.fill(found, settings),
        Experiment.fill(found, settings),
        Speed.fill(found, settings),
        kept={"options": found.options.to_json(), **({"rule": found.rule} if found.rule else {})},
    )


def read_form(sent: FormData, kept: Mapping[str, Any] | None = None) -> CampaignForm:
    """What the browser sent."""
    return CampaignForm(
        str(sent.get("name", "")).strip(),
        Audience.read(sent),
        Content.read(sent),
        When.read(sent),
        Respect.read(sent),
        Experiment.read(sent),
        Speed.read(sent),
        kept=kept or {},
    )


def _field_at(path: str, paths: Mapping[str, str]) -> str | None:
    """The field of the longest known path that `path` is or lies below: `content.mjml` is shown at `content`."""
    above = [known for known in paths if path == known or path.startswith((f"{known}.", f"{known}["))]
    return paths[max(above, key=len)] if above else None
