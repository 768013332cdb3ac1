"""A house over the test's database, and the mail server that it sends to."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest
from aiosmtpd.controller import Controller

from runtime.database import Database
from runtime.house import House
from runtime.settings import Settings
from runtime.signing import Signer
from tests.campaigns.scene import Sink, free_port

SECRET = "a secret for tests, long enough"


@pytest.fixture
def sink() -> Iterator[Sink]:
    """A mail server on a port of its own."""
    found = Sink()
    found.port = free_port()
    controller = Controller(found, hostname="127.0.0.1", port=found.port)
    controller.start()
    yield found
    controller.stop()


@pytest.fixture
def house(settings: Settings, db: Database, sink: Sink) -> House:
    """Sends to the sink over 4 connections."""
    mailing = dataclasses.replace(settings, smtp_url=f"smtp://127.0.0.1:{sink.port}?connections=4")
    return House(mailing, db, Signer(SECRET))
