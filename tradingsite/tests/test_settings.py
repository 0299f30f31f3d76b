"""Configuration: a wrong value stops the start with a sentence that names it."""

import os
import stat
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from pytest_django import Settings

from tradingsite import checks
from tradingsite.settings import databases, env, keys, logs, queue

ROOT = Path(settings.BASE_DIR)
GOOD = {
    "TRADING_SECRET_KEY": "kJ8sX2mQ9vL4wR7tY1zN6bF3cH5dG0pA-uEiOoTrWqZxCvBnMlKjHgFd",
    "TRADING_FIELD_KEYS": "b25seS1mb3ItdGVzdHMtMDEyMzQ1Njc4OS1hYmNkZWY=",
    "TRADING_DATABASE_URL": "postgresql://site:hidden-word@db.example.org:5433/site",
    "TRADING_ALLOWED_HOSTS": "trading.example.org",
    "TRADING_PUBLIC_URL": "https://trading.example.org",
    "TRADING_TRUSTED_PROXIES": "1",
}


def load(module: str, tmp_path: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Import a settings module in a fresh process that has only `variables`."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TRADING_")}
    return subprocess.run(
        [sys.executable, "-c", f"import {module} as s; print(s.DEBUG, s.DATABASES['default']['ENGINE'])"],
        cwd=ROOT,
        env={**clean, "TRADING_VAR_DIR": str(tmp_path / "var"), **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_production_starts_with_strong_values(tmp_path: Path) -> None:
    done = load("tradingsite.settings.production", tmp_path, **GOOD)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["False", "django.db.backends.postgresql"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TRADING_SECRET_KEY", "short"),
        ("TRADING_SECRET_KEY", "a" * 60),
        ("TRADING_SECRET_KEY", "django-insecure-kJ8sX2mQ9vL4wR7tY1zN6bF3cH5dG0pA-uEiOoTrWqZ"),
        ("TRADING_DEBUG", "True"),
        ("TRADING_DEBUG", "yes"),
        ("TRADING_ALLOWED_HOSTS", "*"),
        ("TRADING_ALLOWED_HOSTS", "*.example.org"),
        ("TRADING_ALLOWED_HOSTS", ""),
        ("TRADING_PUBLIC_URL", "http://trading.example.org"),
        ("TRADING_PUBLIC_URL", ""),
        ("TRADING_DATABASE_URL", ""),
        ("TRADING_DATABASE_URL", "sqlite:///db.sqlite3"),
        ("TRADING_TRUSTED_PROXIES", ""),
        ("TRADING_TRUSTED_PROXIES", "9"),
        ("TRADING_WORKERS", "0"),
        ("TRADING_WORKERS", "two"),
        ("TRADING_LOG_FORMAT", "xml"),
    ],
)
def test_production_refuses_a_weak_or_wrong_value_by_name(tmp_path: Path, name: str, value: str) -> None:
    done = load("tradingsite.settings.production", tmp_path, **{**GOOD, name: value})
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert "ImproperlyConfigured" in last and name in last


def test_a_secret_is_not_shown_in_the_error_about_it(tmp_path: Path) -> None:
    url = "mysql://site:hidden-word@db.example.org/site"
    done = load("tradingsite.settings.production", tmp_path, **{**GOOD, "TRADING_DATABASE_URL": url})
    assert done.returncode != 0
    assert "hidden-word" not in done.stderr


def test_a_misspelt_variable_stops_the_start_and_is_corrected(tmp_path: Path) -> None:
    done = load("tradingsite.settings.dev", tmp_path, TRADING_WORKER="2")
    assert done.returncode != 0
    assert "TRADING_WORKER (did you mean TRADING_WORKERS?)" in done.stderr


def test_the_embedded_default_makes_private_keys_once(tmp_path: Path) -> None:
    first = load("tradingsite.settings.dev", tmp_path)
    assert first.returncode == 0, first.stderr
    assert first.stdout.split() == ["False", "tradingsite.foundation.sqlite"]
    files = [tmp_path / "var" / "secret.key", tmp_path / "var" / "field.keys"]
    before = [file.read_text() for file in files]
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in files)
    assert stat.S_IMODE((tmp_path / "var").stat().st_mode) == 0o700
    assert load("tradingsite.settings.dev", tmp_path).returncode == 0
    assert [file.read_text() for file in files] == before


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_a_key_file_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "secret.key"
    path.write_text(keys.new_secret())
    path.chmod(mode)
    with pytest.raises(ImproperlyConfigured, match="other users can read it"):
        keys.read_private(path)
    path.chmod(0o600)
    assert len(keys.read_private(path)) >= keys.MIN_SECRET_LENGTH


@pytest.mark.parametrize("value", ["true", "1", "yes", "TRUE", "0"])
def test_a_boolean_is_true_or_false_and_nothing_else(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("TRADING_LIVE_ENABLED", value)
    with pytest.raises(ImproperlyConfigured, match="TRADING_LIVE_ENABLED must be True or False"):
        env.env_bool("TRADING_LIVE_ENABLED", False)


def test_a_boolean_reads_both_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADING_LIVE_ENABLED", "True")
    assert env.env_bool("TRADING_LIVE_ENABLED", False) is True
    monkeypatch.setenv("TRADING_LIVE_ENABLED", "False")
    assert env.env_bool("TRADING_LIVE_ENABLED", True) is False
    monkeypatch.delenv("TRADING_LIVE_ENABLED")
    assert env.env_bool("TRADING_LIVE_ENABLED", True) is True


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1e9", "-1", "x"])
def test_a_decimal_outside_its_range_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("TRADING_WORKERS", value)
    with pytest.raises(ImproperlyConfigured, match="TRADING_WORKERS must be a number from 0 to 10"):
        env.env_decimal("TRADING_WORKERS", Decimal(1), minimum=Decimal(0), maximum=Decimal(10))


def test_a_reader_refuses_a_variable_that_is_not_in_the_catalogue() -> None:
    with pytest.raises(ImproperlyConfigured, match="not listed"):
        env.env_str("TRADING_SECRET_BACKDOOR")


def test_a_postgres_url_may_name_a_socket_directory_and_escaped_words() -> None:
    found = databases.postgres("TRADING_DATABASE_URL", "postgresql://a%40b:p%2Fw@localhost/site?host=/run/pg")
    assert (found["USER"], found["PASSWORD"], found["HOST"]) == ("a@b", "p/w", "/run/pg")
    found = databases.postgres(
        "TRADING_DATABASE_URL", "postgresql://u:p@db.example.org:5433/site?sslmode=require"
    )
    assert (found["HOST"], found["PORT"], found["NAME"]) == ("db.example.org", "5433", "site")
    assert found["OPTIONS"]["sslmode"] == "require"


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_a_waiting_message_is_never_delivered_twice(workers: int) -> None:
    found = queue.cluster(workers=workers, maintenance_workers=1, timeout_s=120, max_rss_mb=700)
    for lane in found["ALT_CLUSTERS"].values():
        merged = {**found, **lane}
        assert merged["retry"] > merged["timeout"] * (2 + 2 / merged["workers"])


def test_the_checks_refuse_a_queue_that_repeats(settings: Settings) -> None:
    assert checks.queue_never_repeats_by_itself(None) == []
    settings.Q_CLUSTER = {**settings.Q_CLUSTER, "max_attempts": 0}
    assert [error.id for error in checks.queue_never_repeats_by_itself(None)] == ["tradingsite.E002"]
    settings.Q_CLUSTER = {**settings.Q_CLUSTER, "max_attempts": 1, "retry": 130, "ALT_CLUSTERS": {}}
    assert [error.id for error in checks.queue_never_repeats_by_itself(None)] == ["tradingsite.E003"]


def test_the_checks_refuse_local_time(settings: Settings) -> None:
    assert checks.time_is_aware_utc(None) == []
    settings.USE_TZ = False
    assert [error.id for error in checks.time_is_aware_utc(None)] == ["tradingsite.E001"]


def test_a_log_line_cannot_be_forged() -> None:
    forged = logs.printable("rain\n2030-01-01 ERROR paid\x1b[31m\u2028")
    assert forged == "rain\\n2030-01-01 ERROR paid\\x1b[31m\\x2028"


@pytest.mark.django_db
def test_sqlite_runs_with_the_pragmas_money_needs() -> None:
    from django.db import connection

    if connection.vendor != "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("SHOW idle_in_transaction_session_timeout")
            assert cursor.fetchone() == ("20s",)
            cursor.execute("SHOW lock_timeout")
            assert cursor.fetchone() == ("15s",)
        return
    with connection.cursor() as cursor:
        for name, value in {"journal_mode": "wal", "foreign_keys": 1, "recursive_triggers": 1}.items():
            cursor.execute(f"PRAGMA {name}")
            assert cursor.fetchone() == (value,)
    assert "synchronous=FULL" in databases.SQLITE_PRAGMAS
    assert databases.sqlite("x")["OPTIONS"]["transaction_mode"] == "IMMEDIATE"
