"""Experiment: variants that are tried out against each other, before the rest of the audience gets the best."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Self

from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.datastructures import FormData

from campaigns.experiments.editions import varied
from campaigns.experiments.plan import Variant as Planned
from campaigns.store import Campaign
from runtime.errors import Invalid
from runtime.settings import Settings
from web.campaign_form.content import format_of
from web.campaign_form.section import Offered, Section, number, shown
from web.i18n import N_, _
from web.schedule_words import hours_in_words, minutes_in_words

PATH = "options.experiment"
GOALS: Mapping[str, str] = {
    "clicks": N_("most clicks"),
    "opens": N_("most opens"),
    "revenue": N_("most revenue a head"),
}
_PREFIX = "variant_"


@dataclass(frozen=True)
class Variant:
    """One row; its fields are sent as `variant_…`, each of them by every row. What is empty is as in the campaign."""

    name: str = ""
    subject: str = ""
    format: str = "mjml"
    source: str = ""
    text: str = ""
    sender: str = ""
    delay: str = ""
    at: str = ""
    weight: str = ""

    @classmethod
    def fill(cls, stored: Mapping[str, Any]) -> Self:
        body = next((name for name in ("mjml", "html") if name in stored), cls.format)
        return cls(
            name=stored["name"],
            subject=stored.get("subject", ""),
            format=body,
            source=stored.get(body, ""),
            text=stored.get("text", ""),
            sender=stored.get("from", ""),
            delay=shown(stored.get("delay_minutes")),
            at=stored.get("send_at", ""),
            weight=shown(stored.get("weight")),
        )

    @property
    def changes(self) -> dict[str, str]:
        written = format_of(self.format, self.source)
        given = {"subject": self.subject, written: self.source, "text": self.text, "from": self.sender}
        return {name: value for name, value in given.items() if value}

    @property
    def said(self) -> list[str]:
        """How it differs from the campaign."""
        parts = [
            (self.subject, _("Subject: %(subject)s", subject=self.subject)),
            (self.source or self.text, _("content of its own")),
            (self.sender, _("From: %(sender)s", sender=self.sender)),
            (self.delay, _("%(minutes)s after the start", minutes=minutes_in_words(self.delay))),
            (self.at, _("at %(time)s", time=self.at)),
            (self.weight, _("weight %(weight)s", weight=self.weight)),
        ]
        return [words for given, words in parts if given]

    def to_json(self, path: str) -> dict[str, Any]:
        """As the API would take it. Raises Invalid for what is no number."""
        given = {
            "delay_minutes": number(f"{path}.delay_minutes", self.delay),
            "send_at": self.at or None,
            "weight": number(f"{path}.weight", self.weight),
        }
        return {"name": self.name, **self.changes, **{key: value for key, value in given.items() if value is not None}}


@dataclass(frozen=True)
class Experiment(Section):
    """Without `variants` there is no experiment, whatever the other fields say."""

    NAME: ClassVar[str] = "experiment"
    PATHS: ClassVar = {
        PATH: "variants",
        **{f"{PATH}.{name}": name for name in ("test_percent", "winner", "wait_hours", "significance", "fallback")},
    }
    OPTIONS: ClassVar[frozenset[str]] = frozenset({"experiment"})

    variants: tuple[Variant, ...] = ()
    test_percent: str = "20"
    winner: str = "clicks"
    wait_hours: str = "4"
    significance: str = "95"
    fallback: str = "first"

    @classmethod
    def read(cls, sent: FormData) -> Self:
        """Rows are put together from lists of equal length; a row without any word in it is none."""
        names = [one.name for one in fields(Variant)]
        columns = [[str(value).strip() for value in sent.getlist(f"{_PREFIX}{name}")] for name in names]
        rows = (Variant(**dict(zip(names, values, strict=True))) for values in zip(*columns, strict=False))
        plain = {one.name: str(sent[one.name]).strip() for one in fields(cls) if one.name in sent}
        return cls(tuple(row for row in rows if row != Variant(format=row.format)), **plain)

    @classmethod
    def fill(cls, found: Campaign, settings: Settings) -> Self:
        plan, stored = found.options.tested, found.options.experiment
        if plan is None or stored is None:
            return cls()
        return cls(
            tuple(Variant.fill(one) for one in stored["variants"]),
            shown(plan.test_percent),
            plan.winner,
            shown(plan.wait_hours),
            shown(plan.significance),
            plan.fallback,
        )

    def options(self) -> dict[str, Any]:
        if not self.variants:
            return {"experiment": None}
        numbers = {name: number(f"{PATH}.{name}", getattr(self, name)) for name in ("test_percent", "wait_hours")}
        numbers["significance"] = number(f"{PATH}.significance", self.significance)
        rows = [row.to_json(f"{PATH}.variants[{place}]") for place, row in enumerate(self.variants)]
        given = {"variants": rows, "winner": self.winner, "fallback": self.fallback, **numbers}
        return {"experiment": {name: value for name, value in given.items() if value is not None}}

    async def offers(self, conn: AsyncConnection) -> Offered:
        return {"goals": [(name, _(words)) for name, words in GOALS.items()], "empty": Variant()}

    def shown_content(self, content: Mapping[str, str], place: str) -> Mapping[str, str]:
        """The campaign's content as the variant at `place` has it; as it is where there is none."""
        if not place.isdecimal() or len(place) > 3 or int(place) >= len(self.variants):
            return content
        row = self.variants[int(place)]
        return varied(content, Planned(row.name, row.changes))

    def say(self, offered: Offered, settings: Settings) -> list[str]:
        try:
            plan = self.options()["experiment"]
        except Invalid:
            return []
        if plan is None:
            return []
        names = _(", ").join(row["name"] for row in plan["variants"])
        said = _("%(share)s %% try the variants %(names)s.", share=self.test_percent, names=names)
        if plan.get("test_percent") == 100:
            return [said]
        goal = _(GOALS[self.winner]) if self.winner in GOALS else self.winner
        hours = hours_in_words(self.wait_hours)
        rest = _("After %(hours)s the rest gets the one with the %(goal)s.", hours=hours, goal=goal)
        if not any(row.delay or row.at for row in self.variants):
            return [said, rest]
        return [said, rest, _("It gets it at the time of day of that variant, the next day if that has passed.")]
