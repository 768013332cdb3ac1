"""User agents by lists other than the one that the detector ships: Matomo's fixtures (device-detector) and the
crawler-user-agents collection. Everything with HEARTH_SOAK=1, some of the browsers otherwise."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import crawleruseragents
import device_detector
import yaml_rs

from tracking.machines import machine_reason

SOAK = bool(os.environ.get("HEARTH_SOAK"))
RECOGNISED = 0.95
FALSE_ALARMS = 0.005
FIXTURES = Path(device_detector.__file__).parent / "tests/fixtures/upstream"
CRAWLERS = Path(crawleruseragents.__file__).parent / "crawler-user-agents.json"


def machines() -> Iterator[str]:
    for record in yaml_rs.loads((FIXTURES / "bots.yml").read_text()):
        yield record["user_agent"]
    for crawler in json.loads(CRAWLERS.read_text()):
        yield from crawler["instances"]


def people(kind: str) -> Iterator[str]:
    """What the list calls a browser, or a "pim": a mail client."""
    for path in sorted(FIXTURES.glob("*.yml")):
        if path.stem == "bots" or (not SOAK and kind == "browser" and path.stem[-1] not in "05p"):
            continue
        for record in yaml_rs.loads(path.read_text()):
            client: Any = record.get("client")
            if isinstance(client, dict) and client.get("type") == kind:
                yield record["user_agent"]


def test_machines_are_recognised() -> None:
    known = list(machines())
    missed = [agent for agent in known if machine_reason(agent) is None]
    assert len(known) > 3_000
    assert 1 - len(missed) / len(known) >= RECOGNISED, missed[:20]


def test_readers_are_not_taken_for_machines() -> None:
    agents = [*list(people("browser"))[:: 1 if SOAK else 3], *people("pim")]
    alarms = [agent for agent in agents if machine_reason(agent) is not None]
    assert len(agents) > 1_000
    assert len(alarms) / len(agents) <= FALSE_ALARMS, alarms[:20]


def test_no_mail_client_of_the_list_is_taken_for_a_machine() -> None:
    assert [agent for agent in people("pim") if machine_reason(agent) is not None] == []
