"""Fixtures of the runtime tests: a clock that is moved, a toy type alone in the registry, a switch that is on."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from orchestrator import testkit
from orchestrator.plugins import WorkflowType
from tradingsite.foundation import clock

START = datetime(2024, 5, 14, 12, 0, tzinfo=UTC)


@pytest.fixture
def time() -> Iterator[clock.VirtualClock]:
    with clock.use(clock.VirtualClock(START)) as virtual:
        yield virtual


@pytest.fixture
def toy() -> Iterator[WorkflowType]:
    kind = testkit.toy_type()
    with testkit.registered(kind):
        yield kind


@pytest.fixture
def halt_file(settings, tmp_path):
    settings.HALT_FILE = tmp_path / "HALT"
    return settings.HALT_FILE
