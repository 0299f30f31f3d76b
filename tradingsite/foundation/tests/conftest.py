from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from .apikit import machine
from .notifykit import server  # noqa: F401 - a fixture
from .rows import MODELS


@pytest.fixture(scope="session", autouse=True)
def _tables(django_db_setup: Any, django_db_blocker: Any) -> Iterator[None]:
    """The test-only tables exist for the whole run (SQLite cannot make tables inside a test's transaction)."""
    with django_db_blocker.unblock(), connection.schema_editor() as editor:
        for model in MODELS:
            editor.create_model(model)
    yield
    with django_db_blocker.unblock(), connection.schema_editor() as editor:
        for model in reversed(MODELS):
            editor.delete_model(model)


@pytest.fixture
def empty_tables(transactional_db: Any) -> Iterator[None]:
    """For tests with real commits: the flush afterwards does not know our tables."""
    yield
    for model in reversed(MODELS):
        model.objects.all().delete()


@pytest.fixture
def admin(alice: Any, at: datetime) -> Client:
    """An API client of Alice with every scope, at a fixed time."""
    return machine(alice, "admin")
