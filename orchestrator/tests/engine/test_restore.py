"""A stored decision can be repeated: same answer, same counterfactuals."""

from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.engine.counterfactuals import counterfactuals
from orchestrator.engine.decide import decide
from orchestrator.engine.restore import NotRestorable, counterfactuals_of, inputs_of
from orchestrator.engine.serialise import counterfactual_json, inputs_json
from orchestrator.engine.types import Bounds, Conditions, Exposure, History, HostLoad, Subject, Switch

NOW = datetime(2021, 4, 12, 9, tzinfo=UTC)
SUBJECT = Subject(
    key="toy",
    bounds=Bounds(min_s=60, base_s=300, max_s=900),
    is_trading=True,
    switch=Switch.PAUSED,
    priority=1,
)
CONDITIONS = Conditions(
    as_of=NOW,
    volatility=0.7,
    trend=0.3,
    data_age_s=30.0,
    data_age_limit_s=180.0,
    last_edge_at=NOW - timedelta(hours=2),
)
HISTORY = History(last_run_at=NOW - timedelta(seconds=100), interval_s=300.0)
GIVEN = (SUBJECT, CONDITIONS, Exposure(open_positions=1), HostLoad(cpu=0.5), HISTORY)


def test_restored_inputs_equal_what_was_stored():
    restored = inputs_of(inputs_json(*GIVEN), NOW)

    assert restored == (*GIVEN, NOW)


def test_counterfactuals_of_the_stored_row_equal_those_of_the_moment():
    at_once = counterfactuals(*GIVEN, NOW, decide(*GIVEN, NOW))

    assert at_once
    assert counterfactuals_of(inputs_json(*GIVEN), NOW) == [counterfactual_json(item) for item in at_once]


def test_incomplete_inputs_are_refused():
    stored = inputs_json(*GIVEN)
    del stored["history"]

    with pytest.raises(NotRestorable):
        inputs_of(stored, NOW)
