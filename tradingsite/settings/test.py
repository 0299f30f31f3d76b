"""Settings of the tests: a database per run, nothing written outside a temporary directory."""

import os
import tempfile
from pathlib import Path

from tradingsite.settings import databases, env
from tradingsite.settings.base import *  # noqa: F403
from tradingsite.settings.base import CACHES, DATABASES, STORAGES

_suffix = os.environ.get("TEST_DB_SUFFIX", "main")
VAR_DIR = Path(tempfile.gettempdir()) / f"tradingsite-test-{os.getuid()}-{_suffix}"
VAR_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)

SECRET_KEY = "only-for-tests-0123456789-abcdefghijklmnopqrstuvwxyz-ABCDEFGHIJ"  # noqa: S105 - guards nothing
FIELD_ENCRYPTION_KEYS = ["b25seS1mb3ItdGVzdHMtMDEyMzQ1Njc4OS1hYmNkZWY="]
ALLOWED_HOSTS = ["testserver", "localhost", "127.0.0.1"]
PUBLIC_URL = "http://testserver"

_database_url = env.env_str("TRADING_TEST_DATABASE_URL")
if _database_url:
    DATABASES["default"] = databases.postgres("TRADING_TEST_DATABASE_URL", _database_url)
    DATABASES["default"]["TEST"] = {"NAME": f"test_ts_{_suffix}"}
else:
    # A file, not memory: threads and child processes of a test must see the same database.
    DATABASES["default"] = databases.sqlite(VAR_DIR / "db.sqlite3")
    DATABASES["default"]["TEST"] = {"NAME": str(VAR_DIR / "test.sqlite3")}
    # A power cut in the middle of a test run loses nothing of value: no fsync per commit.
    DATABASES["default"]["OPTIONS"]["init_command"] = databases.SQLITE_PRAGMAS.replace("=FULL", "=OFF")

CACHES["default"] = {
    "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
    "LOCATION": str(VAR_DIR / f"cache-{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"),
}
STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
MEDIA_ROOT = VAR_DIR / "media"
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = True

# Argon2 is slow by design; tests sign in hundreds of times.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

HALT_FILE = VAR_DIR / "HALT"
