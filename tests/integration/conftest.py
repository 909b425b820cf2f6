"""Both emulators, as the local stack starts them, and a project of its own for every test."""

import uuid
from dataclasses import dataclass

import pytest

from pmpctl.errors import CommandError
from pmpctl.project import resources
from tests.fakes.bigquery_emulator import bigquery_emulator
from tests.fakes.pubsub_emulator import pubsub_emulator


@dataclass(frozen=True)
class Emulators:
    pubsub: str
    bigquery: str
    storage: str


@pytest.fixture(scope="session")
def emulators():
    try:
        with pubsub_emulator() as pubsub, bigquery_emulator() as bigquery:
            yield Emulators(pubsub, bigquery.rest, bigquery.grpc)
    except CommandError as error:
        pytest.skip(str(error))


@pytest.fixture
def clients(emulators):
    return resources.connect(
        f"pmp-{uuid.uuid4().hex[:12]}",
        pubsub_emulator=emulators.pubsub,
        bigquery_emulator=emulators.bigquery,
    )
