"""Every variable is checked when the settings are loaded: one sentence with its name, what is allowed and what it is."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from tradingsite.settings import env, forms
from tradingsite.settings.catalogue import SECRET, VARIABLES

ROOT = Path(settings.BASE_DIR)
FERNET = "b25seS1mb3ItdGVzdHMtMDEyMzQ1Njc4OS1hYmNkZWY="
SECRET_KEY = "kJ8sX2mQ9vL4wR7tY1zN6bF3cH5dG0pA-uEiOoTrWqZxCvBnMlKjHgFd"

WRONG = [
    ("TRADING_BIND", "abc"),
    ("TRADING_BIND", "127.0.0.1:99999"),
    ("TRADING_BIND", "127.0.0.1:0"),
    ("TRADING_BIND", "not a host:80"),
    ("TRADING_FIELD_KEYS", "abc"),
    ("TRADING_FIELD_KEYS", f"{FERNET},abc"),
    ("TRADING_PUBLIC_URL", "foo"),
    ("TRADING_PUBLIC_URL", "https://trading.example.org/sub"),
    ("TRADING_ADMIN_PATH", "/../x"),
    ("TRADING_ADMIN_PATH", "a b"),
    ("TRADING_ADMIN_PATH", "/"),
    ("TRADING_SECRET_KEY", "short"),
    ("TRADING_SECRET_KEY", "a" * 60),
    ("TRADING_DATABASE_URL", "foo"),
    ("TRADING_REDIS_URL", "localhost:6379"),
    ("TRADING_ALLOWED_HOSTS", "a b"),
    ("TRADING_ALLOWED_HOSTS", "a,,b"),
    ("TRADING_BINANCE_URL", "foo"),
    ("TRADING_FXCM_FIX_HOST", "a b"),
    ("TRADING_FXCM_FIX_SENDER", "a\x01b"),
]
RIGHT = [
    ("TRADING_BIND", "0.0.0.0:80"),
    ("TRADING_BIND", "[::1]:8000"),
    ("TRADING_BIND", "localhost:65535"),
    ("TRADING_FIELD_KEYS", f"{FERNET}, {FERNET}"),
    ("TRADING_PUBLIC_URL", "http://192.168.1.5:8000"),
    ("TRADING_PUBLIC_URL", "https://trading.example.org/"),
    ("TRADING_ADMIN_PATH", "/back-office/inner/"),
    ("TRADING_SECRET_KEY", SECRET_KEY),
    ("TRADING_DATABASE_URL", "postgresql://u:p@localhost/name"),
    ("TRADING_REDIS_URL", "rediss://:word@cache.example.org:6380/1"),
    ("TRADING_REDIS_URL", "unix:///run/redis.sock"),
    ("TRADING_ALLOWED_HOSTS", "trading.example.org, 127.0.0.1, [::1], .example.org"),
    ("TRADING_BINANCE_URL", "http://127.0.0.1:9000"),
    ("TRADING_FXCM_FIX_HOST", "127.0.0.1"),
]


def manage(tmp_path: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TRADING_")}
    return subprocess.run(
        [sys.executable, "manage.py", *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=90,
        env={
            **clean, "TRADING_VAR_DIR": str(tmp_path / "var"), "DJANGO_SETTINGS_MODULE": "tradingsite.settings.dev",
            **variables,
        },
    )  # fmt: skip


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_a_wrong_form_is_refused_by_name_with_what_is_allowed(name: str, value: str) -> None:
    with pytest.raises(ImproperlyConfigured) as error:
        env.refuse_wrong({name: value})
    text = str(error.value)
    assert text.startswith(f"{name} must be ") and text.endswith(".") and "\n" not in text
    assert ("(hidden)" in text and value not in text) if name in SECRET else repr(value) in text


@pytest.mark.parametrize(("name", "value"), RIGHT)
def test_a_right_form_is_accepted(name: str, value: str) -> None:
    env.refuse_wrong({name: value})


@pytest.mark.parametrize("name", ["TRADING_WEB_THREADS", "TRADING_BIND", "TRADING_HALT"])
@pytest.mark.parametrize("value", ["", "  "])
def test_an_empty_variable_is_refused(name: str, value: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=f"{name} is set but empty"):
        env.refuse_wrong({name: value})


def test_every_variable_is_checked_when_the_settings_are_loaded() -> None:
    """By a form, or by a typed reader in settings that every start loads."""
    folder = ROOT / "tradingsite" / "settings"
    source = "".join((folder / name).read_text(encoding="utf-8") for name in ("base.py", "dev.py"))
    typed = set(re.findall(r"env_(?:bool|int|decimal|float|choice|path)\(\s*\"(TRADING_\w+)\"", source))
    assert set(VARIABLES) - typed - set(forms.FORMS) == set()


@pytest.mark.parametrize("command", ["run", "doctor"])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TRADING_BIND", "abc"),
        ("TRADING_VAR_DIR", "/proc/x"),
        ("TRADING_DATABASE_PATH", "/nowhere/x.sqlite3"),
    ],
)
def test_run_and_doctor_say_it_in_one_sentence(tmp_path: Path, command: str, name: str, value: str) -> None:
    done = manage(tmp_path, command, **{name: value})
    assert done.returncode == 2
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1 and name in lines[0] and value in lines[0]


def test_a_machine_gets_it_as_json(tmp_path: Path) -> None:
    done = manage(tmp_path, "doctor", "--json", TRADING_BIND="abc")
    document = json.loads(done.stdout)
    assert done.returncode == 2 and document["ok"] is False
    assert "TRADING_BIND" in document["problem"]["detail"]


def test_a_wrong_address_on_the_command_line_is_refused_before_anything_starts(tmp_path: Path) -> None:
    done = manage(tmp_path, "run", "--bind", "127.0.0.1:99999")
    assert done.returncode == 2 and "--bind must be host:port" in done.stderr
    assert not (tmp_path / "var" / "db.sqlite3").exists()


def test_a_file_with_wrong_keys_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "field.keys"
    path.write_text("abc\n")
    path.chmod(0o600)
    done = manage(tmp_path, "doctor", TRADING_FIELD_KEYS_FILE=str(path))
    assert done.returncode == 2 and str(path) in done.stderr and "Fernet" in done.stderr
