"""Every page and fragment over a filled database: no more questions than its budget, however much there is."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tradingsite.foundation.models import UserProfile
from tradingsite.tests.api_routes import patterns
from tradingsite.tests.filled import address

BUDGET = 15
TABS = ("summary", "instruments", "positions", "runs", "settings")


@pytest.fixture
def reader(filled: Any, db: None) -> Client:
    user = get_user_model()._default_manager.create_user(username="budget")
    UserProfile.objects.create(user=user, role="admin")
    client = Client()
    client.force_login(user)
    return client


def _routes() -> list[str]:
    kept = [route for route, _pattern in patterns() if "^" not in route and "\\" not in route]
    return [route for route in kept if not route.startswith(("api/", "backoffice/", "healthz", "readyz"))]


def test_no_page_or_fragment_with_data_asks_more_than_its_budget(filled: Any, reader: Client) -> None:
    over, measured = [], 0
    paths = [address(route, filled) for route in _routes()]
    paths += [f"/assets/{filled.asset_type}/?tab={tab}" for tab in TABS] + [
        "/decisions/?page=3",
        "/?range=all",
    ]
    for path in dict.fromkeys(paths):
        if reader.get(path).status_code != 200:  # warms what is read once per process
            continue
        with CaptureQueriesContext(connection) as queries:
            assert reader.get(path).status_code == 200, path
        measured += 1
        if len(queries) > BUDGET:
            over.append((path, len(queries)))
    assert measured > 40
    assert not over
