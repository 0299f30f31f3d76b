"""Generated requests against every described operation: no failure of ours, no ignored login, answers as described."""

from __future__ import annotations

import os
from collections import Counter
from typing import Any

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    allow_header_conformance,
    content_type_conformance,
    ignored_auth,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from tradingsite.foundation.api import throttles
from tradingsite.foundation.testkit import token_for
from tradingsite.tests import api_world
from tradingsite.wsgi import application

CHECKS = [
    not_a_server_error, status_code_conformance, content_type_conformance, response_headers_conformance,
    response_schema_conformance, ignored_auth, unsupported_method, allow_header_conformance,
]  # fmt: skip
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "60"))  # per operation, once fitting the description, once not


@pytest.fixture
def described(
    request: Any, at: Any, alice: Any, monkeypatch: pytest.MonkeyPatch
) -> tuple[Any, dict[str, str], api_world.World]:
    monkeypatch.setattr(throttles, "LIMITS", {"read": 10**9, "write": 10**9, "orders": 10**9})
    # As Django's own test client does: the test's transaction must outlive each request.
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    request.addfinalizer(
        lambda: [s.connect(close_old_connections) for s in (request_started, request_finished)]
    )
    world = api_world.build(at)
    headers = {"Authorization": f"Token {token_for(alice, 'admin')}"}
    return schemathesis.openapi.from_wsgi("/api/schema/", application, headers=headers), headers, world


@pytest.mark.fuzz
@pytest.mark.timeout(3600)
def test_no_generated_request_breaks_what_the_description_promises(described: Any) -> None:
    schema, headers, world = described
    known = {
        "id": world.workflow.pk,
        "symbol": world.instrument.symbol,
        "asset_type": world.workflow.asset_type,
    }
    operations = [result.ok() for result in schema.get_all_operations()]
    assert len(operations) >= 33
    sent: Counter[int] = Counter()
    for operation in operations:
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            fuzz(operation, mode, headers, known, sent)
    assert sent[200] and sent[400] and sent[404], sent


def fuzz(operation: Any, mode: Any, headers: Any, known: dict[str, Any], sent: Counter[int]) -> None:
    """Send requests that fit the description (with ids that exist in half of them), or that do not."""
    fits = mode is GenerationMode.POSITIVE

    @settings(
        max_examples=EXAMPLES, deadline=None, database=None, derandomize=True,
        suppress_health_check=list(HealthCheck), phases=[Phase.explicit, Phase.generate],
    )  # fmt: skip
    @given(case=operation.as_strategy(generation_mode=mode), use_known=st.booleans())
    def ask(case: Any, use_known: bool) -> None:
        if use_known and fits:
            case.path_parameters = {name: known[name] for name in case.path_parameters or {}}
        response = case.call(headers=headers)
        sent[response.status_code] += 1
        checks = CHECKS if fits else [*CHECKS, negative_data_rejection]
        case.validate_response(response, checks=checks, headers=headers)

    try:
        ask()
    except Unsatisfiable:
        assert not fits, operation.label  # there is no wrong way to ask for something without parameters
