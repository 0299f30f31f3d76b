"""Fixtures of the site's own tests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tradingsite.tests.filled import CANDLES, DECISIONS, TRADES


@pytest.fixture(scope="module")
def filled(django_db_setup: None, django_db_blocker: Any) -> Iterator[Any]:
    """Rows of every kind, made once for all tests of a module (each in a savepoint of its own) and then taken back."""
    from django.db import transaction

    from benchmarks.fill import fill

    with django_db_blocker.unblock():
        block = transaction.atomic()
        block.__enter__()
        try:
            yield fill(candles=CANDLES, trades=TRADES, decisions=DECISIONS)
        finally:
            transaction.set_rollback(True)
            block.__exit__(None, None, None)
