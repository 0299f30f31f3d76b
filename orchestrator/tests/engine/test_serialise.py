"""What is stored is JSON, complete, and without NaN."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.engine import RULE_VERSION
from orchestrator.engine.counterfactuals import Inputs
from orchestrator.engine.serialise import decision_to_row, to_json
from orchestrator.engine.types import Exposure, HostLoad
from orchestrator.models import Decision

from .strategies import NOW, examples
from .test_decide import CALM, SUBJECT, ago, ask
from .test_properties import ANYTHING

JSON_COLUMNS = ("factors", "gates", "inputs")


@given(st.fixed_dictionaries(ANYTHING))
@examples(60)
def test_a_row_is_json_without_nan_and_its_contributions_sum(parts: dict[str, Any]) -> None:
    inputs = Inputs(**parts, now=NOW)
    decision = inputs.decide()
    row = decision_to_row(decision, **parts, now=NOW)
    stored = json.loads(json.dumps({name: row[name] for name in JSON_COLUMNS}, allow_nan=False))
    assert sum(factor["contribution"] for factor in stored["factors"]) == pytest.approx(
        row["log_interval"], abs=1e-9
    )
    assert [factor["code"] for factor in stored["factors"]] == [factor.code for factor in decision.factors]
    assert row["rule_version"] == RULE_VERSION
    assert row["action"] == decision.action.value


def test_a_row_has_every_column_of_the_table_but_its_workflow() -> None:
    row = decision_to_row(
        ask(),
        subject=SUBJECT,
        conditions=CALM,
        exposure=Exposure(),
        load=HostLoad(),
        history=ago(5),
        now=NOW,
    )
    assert set(row) == {field.name for field in Decision._meta.concrete_fields} - {"id", "workflow"}


def test_a_value_without_a_json_form_is_refused() -> None:
    with pytest.raises(TypeError, match="object"):
        to_json({"x": object()})
