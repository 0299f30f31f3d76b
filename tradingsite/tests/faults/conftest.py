"""One running system per module: tests hurt it, wait until it has recovered, and leave it whole."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tradingsite.tests.faults import harness
from tradingsite.tests.faults.harness import System


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "/faults/" in str(item.path) and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(600 * harness.SLACK))


@pytest.fixture(scope="module")
def town() -> Iterator[System]:
    """A system with short leases and canaries, started once."""
    with harness.system() as made:
        took = made.start()
        harness.report("start", seconds=round(took, 1))
        yield made


@pytest.fixture
def running(town: System) -> Iterator[System]:
    """The town, whole and trading; whatever a test left behind is cleared away first."""
    make_whole(town)
    yield town
    town.behave()


def make_whole(made: System) -> None:
    made.behave()
    if made.process is None or made.process.poll() is not None or not made.works():
        if made.process is not None and made.process.poll() is None:
            made.power_cut()
        made.start()
    made.ask("update", "orchestrator.Workflow", {}, {
        "quarantined_until": None, "consecutive_failures": 0, "consecutive_abandoned": 0, "quarantine_count": 0,
        "status": "active",
    })  # fmt: skip
    made.ask("switch", "start")
    made.recovers(90)
