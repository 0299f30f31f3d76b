"""A world of its own for each fault test: a fresh database (SQLite file or PostgreSQL) and child processes in it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from assets.trading.tests.faults.venue import truth

NOON = datetime(2024, 5, 14, 12, 0, tzinfo=UTC)
URL = os.environ.get("TRADING_TEST_DATABASE_URL", "")


def _environment(suffix: str, url: str) -> dict[str, str]:
    values = {**os.environ, "DJANGO_SETTINGS_MODULE": "tradingsite.settings.test", "TEST_DB_SUFFIX": suffix}
    values.pop("CRASH_AT", None)
    return {**values, "TRADING_TEST_DATABASE_URL": url} if url else values


def _var_dir(suffix: str) -> Path:
    return Path(tempfile.gettempdir()) / f"tradingsite-test-{os.getuid()}-{suffix}"


def _sql(statement: str) -> None:
    import psycopg

    with psycopg.connect(URL, autocommit=True) as connection:
        connection.execute(statement)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def template() -> Iterator[str]:
    """A migrated, empty database to copy. Its name is also the suffix of its directory."""
    name = f"faults_{uuid.uuid4().hex[:10]}"
    if URL:
        _sql(f"CREATE DATABASE {name}")
    migrate = [sys.executable, "manage.py", "migrate", "--verbosity", "0", "--skip-checks"]
    subprocess.run(
        migrate, env=_environment(name, _url(name)), cwd=settings.BASE_DIR, check=True, timeout=100
    )
    yield name
    if URL:
        _sql(f"DROP DATABASE {name}")
    shutil.rmtree(_var_dir(name), ignore_errors=True)


def _url(name: str) -> str:
    return URL.rsplit("/", 1)[0] + "/" + name if URL else ""


class Arena:
    """One database, one venue file, and processes that may die."""

    def __init__(self, name: str, folder: Path) -> None:
        self.environment = _environment(name, _url(name))
        self.venue_file = folder / "venue.jsonl"

    def start(
        self, command: str, *, after: float = 0, crash: str = "", venue: str = "ok", **arguments: Any
    ) -> Any:
        """A child running `command`, `after` seconds past noon, killed at crash point `crash`."""
        environment = {
            **self.environment, "NOW": (NOON + timedelta(seconds=after)).isoformat(), "VENUE_MODE": venue,
            "VENUE_FILE": str(self.venue_file), **({"CRASH_AT": crash} if crash else {}),
        }  # fmt: skip
        return subprocess.Popen(
            [sys.executable, "-m", "assets.trading.tests.faults.child", command, json.dumps(arguments)],
            env=environment, cwd=settings.BASE_DIR, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def finish(self, process: Any) -> Any:
        """The child's answer. Fails the test when the child failed."""
        out, err = process.communicate(timeout=100)
        assert process.returncode == 0, err[-3000:]
        return json.loads(out.splitlines()[-1])

    def run(self, command: str, **values: Any) -> Any:
        return self.finish(self.start(command, **values))

    def kill_at(self, crash: str, command: str, **values: Any) -> None:
        """Run `command` and see it die at the crash point."""
        process = self.start(command, crash=crash, **values)
        _out, err = process.communicate(timeout=100)
        assert process.returncode == -signal.SIGKILL, (process.returncode, err[-3000:])

    def truth(self) -> list[dict[str, Any]]:
        return truth(self.venue_file)


@pytest.fixture
def arena(template: str, tmp_path: Path) -> Iterator[Arena]:
    name = f"faults_{uuid.uuid4().hex[:10]}"
    if URL:
        _sql(f"CREATE DATABASE {name} TEMPLATE {template}")
    else:
        _var_dir(name).mkdir(mode=0o700)
        shutil.copy(_var_dir(template) / "db.sqlite3", _var_dir(name) / "db.sqlite3")
    yield Arena(name, tmp_path)
    if URL:
        _sql(f"DROP DATABASE {name} WITH (FORCE)")
    shutil.rmtree(_var_dir(name), ignore_errors=True)
