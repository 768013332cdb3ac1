"""The form of a campaign: between its fields as a browser sends them and the body that `campaigns.store` takes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import Any

from starlette.datastructures import FormData

from campaigns.store import Campaign
from runtime.errors import Invalid, Problem
from runtime.settings import Settings

LOCAL = "%Y-%m-%dT%H:%M"
FIELD_OF = {
    "exclude_segment_ids": "exclude",
    "from": "sender",
    "content": "source",
    "mjml": "source",
    "html": "source",
    "rate_per_second": "rate",
    "holdout_percent": "holdout",
}
EDITOR = frozenset({"subject", "source", "text"})


@dataclass(frozen=True)
class CampaignForm:
    """Every field as text, as the browser showed or sent it."""

    name: str = ""
    segment_id: str = ""
    audience_id: str = ""
    exclude: tuple[str, ...] = ()
    sender: str = ""
    template_id: str = ""
    subject: str = ""
    format: str = "mjml"
    source: str = ""
    text: str = ""
    when: str = "now"
    at: str = ""
    cron: str = "0 10 * * 1"
    rate: str = ""
    holdout: str = ""
    kept: Mapping[str, Any] = field(default_factory=dict)  # what the form does not show: a rule, further options

    def body(self, settings: Settings) -> dict[str, Any]:
        """What the API would take for the same. Raises Invalid for what is no number or time."""
        return {
            "name": self.name,
            "channel": "email",
            **self._audience(),
            "exclude_segment_ids": [_whole("exclude_segment_ids", one) for one in self.exclude],
            "from": self.sender or None,
            **({"template_id": _whole("template_id", self.template_id)} if self.template_id else self._content()),
            "schedule": self._schedule(settings),
            "options": self._options(),
        }

    def template_body(self) -> dict[str, str]:
        """What the API would take for a template of the same content."""
        return {"name": self.name, "channel": "email", **self.content()}

    def content(self) -> dict[str, str]:
        """Subject and body alone, for a preview."""
        found: dict[str, str] = self._content()["content"]
        return found

    def _audience(self) -> dict[str, Any]:
        """Both, where a segment and a list are chosen: which is meant is not for the form to say."""
        given = {name: _whole(name, value) for name in ("segment_id", "audience_id") if (value := getattr(self, name))}
        return given or ({"rule": self.kept["rule"]} if "rule" in self.kept else {})

    def _content(self) -> dict[str, Any]:
        given = {"subject": self.subject, self.format: self.source, "text": self.text}
        return {"content": {name: value for name, value in given.items() if value}}

    def _schedule(self, settings: Settings) -> dict[str, str] | None:
        if self.when == "cron":
            return {"cron": self.cron, "timezone": settings.timezone}
        if self.when != "at":
            return None
        try:
            at = datetime.strptime(self.at, LOCAL).replace(tzinfo=settings.zone)
        except ValueError:
            raise Invalid(Problem("schedule.at", "choose a day and a time")) from None
        return {"at": at.isoformat()}

    def _options(self) -> dict[str, Any]:
        given = {
            "rate_per_second": _number("options.rate_per_second", self.rate),
            "holdout_percent": _number("options.holdout_percent", self.holdout),
        }
        kept = {name: value for name, value in self.kept.get("options", {}).items() if name not in given}
        return {**kept, **{name: value for name, value in given.items() if value is not None}}


def errors_by_field(problems: Iterable[Problem], form: CampaignForm) -> tuple[dict[str, str], list[Problem]]:
    """What is wrong with each field that the form shows, and what belongs to none of them."""
    shown = {one.name for one in fields(CampaignForm)} - {"kept", *(EDITOR if form.template_id else ())}
    errors: dict[str, str] = {}
    others = []
    for problem in problems:
        field = _field_of(problem.path)
        if field in shown:
            errors[field] = f"{errors[field]} {problem.message}" if field in errors else problem.message
        else:
            others.append(problem)
    return errors, others


def _field_of(path: str) -> str:
    """`content.mjml` is `source`, `exclude_segment_ids[2]` is `exclude`."""
    steps = re.split(r"[.\[]", path)
    within = len(steps) > 1 and steps[0] in ("content", "schedule", "options")
    name = steps[1] if within else steps[0]
    return FIELD_OF.get(name, name)


def form_of(found: Campaign, settings: Settings) -> CampaignForm:
    """The form that shows a draft."""
    schedule = found.schedule
    form = CampaignForm(
        name=found.name,
        segment_id=_shown(found.segment_id),
        audience_id=_shown(found.audience_id),
        exclude=tuple(str(one) for one in found.exclude_segment_ids),
        sender=found.sender or "",
        template_id=_shown(found.template_id),
        when="cron" if schedule.cron else "at" if schedule.at else "now",
        at=schedule.at.astimezone(settings.zone).strftime(LOCAL) if schedule.at else "",
        cron=schedule.cron or CampaignForm.cron,
        rate=_shown(found.options.rate_per_second),
        holdout=_shown(found.options.holdout_percent or None),
        kept={"options": found.options.to_json(), **({"rule": found.rule} if found.rule else {})},
    )
    return _with_content(form, found.content or {})


def form_of_template(found: Mapping[str, Any]) -> CampaignForm:
    """The form that shows a template's row."""
    return _with_content(CampaignForm(name=found["name"]), found["content"])


def read_form(form: FormData, kept: Mapping[str, Any] | None = None) -> CampaignForm:
    """What the browser sent."""
    plain = {one.name for one in fields(CampaignForm)} - {"exclude", "kept"}
    values = {name: str(form[name]).strip() for name in plain if name in form}
    exclude = tuple(str(one) for one in form.getlist("exclude") if one)
    return CampaignForm(**values, exclude=exclude, kept=kept or {})


def _with_content(form: CampaignForm, content: Mapping[str, str]) -> CampaignForm:
    return replace(
        form,
        subject=content.get("subject", ""),
        format="html" if "html" in content else "mjml",
        source=content.get("html") or content.get("mjml") or "",
        text=content.get("text", ""),
    )


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _whole(path: str, text: str) -> int:
    if not text.isdecimal() or len(text) > 18:
        raise Invalid(Problem(path, f"{text[:40]!r} is not an id"))
    return int(text)


def _number(path: str, text: str) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        raise Invalid(Problem(path, f"{text[:40]!r} is not a number")) from None
