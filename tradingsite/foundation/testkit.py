"""Help for tests of all apps; a pytest plugin named in the root conftest, so the fixtures are there without importing.

Alice owns things (admin), Bob may use them (operator), Charlie must not see them (viewer, owns nothing).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import pytest
from django.conf import settings
from django.contrib.auth import get_user_model
from django.db.backends.base.operations import BaseDatabaseOperations

from . import audit, clock, setup, tokens
from .models import UserProfile

PASSWORD = "correct horse battery staple"
NOON = datetime(2024, 5, 14, 12, 0, tzinfo=UTC)


def tool_missing(what: str) -> NoReturn:
    """Skip on a person's machine; in the gate, where everything is installed, a missing tool is a failure."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what}: the gate must not skip")
    pytest.skip(what)


def shared_dir(name: str) -> Path:
    """A directory of shared material next to the project ("market-data", "api-samples", "text"); skips when absent."""
    path = Path(settings.BASE_DIR).parent / "shared" / name
    if not path.is_dir():
        pytest.skip(f"shared {name} is not here")
    return path


def shared_data() -> Path:
    """The directory of real candles (with MANIFEST.json and one folder per asset type); skips when absent."""
    return shared_dir("market-data")


def make_user(name: str, role: str = "viewer", **values: Any) -> Any:
    """A stored user with a profile of that role and the password PASSWORD."""
    user = get_user_model()._default_manager.create_user(
        username=name, email=f"{name}@example.org", password=PASSWORD, **values
    )
    UserProfile.objects.create(user=user, role=role)
    return user


def token_for(user: Any, *scopes: str) -> str:
    """The clear text of a new API token: Client(headers={"Authorization": f"Token {clear}"})."""
    actor = audit.system("test")
    return tokens.issue(
        user=user, name="test", scopes=scopes or ("read",), actor=actor, now=clock.now()
    ).clear


@pytest.fixture(autouse=True, scope="session")
def _flush_past_triggers() -> Iterator[None]:
    """Transactional tests empty all tables afterwards; append-only tables refuse that, so triggers pause meanwhile."""
    flush = BaseDatabaseOperations.execute_sql_flush

    def flush_without_triggers(self: Any, sql_list: list[str]) -> None:
        with paused_triggers(self.connection):
            flush(self, sql_list)

    BaseDatabaseOperations.execute_sql_flush = flush_without_triggers  # type: ignore[method-assign,assignment]
    yield
    BaseDatabaseOperations.execute_sql_flush = flush  # type: ignore[method-assign]


@contextmanager
def paused_triggers(connection: Any) -> Iterator[None]:
    """No trigger of the database fires inside the block."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
            triggers = cursor.fetchall()
            before = [f'DROP TRIGGER "{name}"' for name, _sql in triggers]
            after = [sql for _name, sql in triggers]
        else:
            cursor.execute("SELECT DISTINCT tgrelid::regclass::text FROM pg_trigger WHERE NOT tgisinternal")
            tables = [table for (table,) in cursor.fetchall()]
            before = [f"ALTER TABLE {table} DISABLE TRIGGER USER" for table in tables]
            after = [f"ALTER TABLE {table} ENABLE TRIGGER USER" for table in tables]
        for statement in before:
            cursor.execute(statement)
    yield
    with connection.cursor() as cursor:
        for statement in after:
            cursor.execute(statement)


@pytest.fixture(autouse=True)
def _fresh_setup() -> Iterator[None]:
    """Whether a user exists is remembered per process; every test starts not knowing."""
    setup.forget()
    yield
    setup.forget()


@pytest.fixture
def at() -> Iterator[datetime]:
    """The time stands at Tuesday 2024-05-14 12:00 UTC."""
    with clock.use(clock.FixedClock(NOON)):
        yield NOON


@pytest.fixture
def alice(db: Any) -> Any:
    return make_user("alice", "admin")


@pytest.fixture
def bob(db: Any) -> Any:
    return make_user("bob", "operator")


@pytest.fixture
def charlie(db: Any) -> Any:
    return make_user("charlie", "viewer")


@pytest.fixture
def alice_token(alice: Any) -> str:
    return token_for(alice, "admin")
