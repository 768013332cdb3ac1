"""The variants of a draft as they would be sent; every complaint names variant and field."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from campaigns.content import CompiledContent
from campaigns.draft import compiled
from campaigns.experiments.editions import varied
from campaigns.experiments.plan import Experiment, Variant
from channels.contract import Channel, ChannelError, Common
from runtime.errors import Invalid, Problem
from runtime.settings import Settings

PATH = "options.experiment.variants"


def compiled_variants(
    content: Mapping[str, Any], experiment: Experiment, settings: Settings, attributes: Collection[str]
) -> list[CompiledContent]:
    """In the order of the variants; equal content (a test of senders or times) is compiled once. Raises Invalid."""
    made: dict[str, CompiledContent] = {}
    problems: list[Problem] = []
    found = []
    for place, variant in enumerate(experiment.variants):
        own = varied(content, variant)
        key = repr(sorted(own.items()))
        try:
            made[key] = made.get(key) or compiled(own, settings, attributes, prefix="")
            found.append(made[key])
        except Invalid as error:
            problems += [_named(place, variant, problem.path, problem.message) for problem in error.problems]
    if problems:
        raise Invalid(problems)
    return found


def checked_senders(channel: Channel, experiment: Experiment, sender: str) -> list[str]:
    """Whom each variant comes from; `sender`: the campaign's. Raises Invalid."""
    problems = []
    senders = []
    for place, variant in enumerate(experiment.variants):
        own = variant.changes.get("from", sender)
        senders.append(own)
        if own == sender:
            continue
        try:
            channel.composer(Common(sender=own))
        except Invalid as error:
            problems.append(_named(place, variant, "from", error.problems[0].message))
        except ChannelError as error:
            problems.append(_named(place, variant, "from", str(error)))
    if problems:
        raise Invalid(problems)
    return senders


def _named(place: int, variant: Variant, field: str, message: str) -> Problem:
    return Problem(f"{PATH}[{place}].{field}".rstrip("."), f"variant {variant.name!r}: {message}")
