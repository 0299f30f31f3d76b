"""The embedded default of `make run`: SQLite, keys made on first start, reachable from this machine only."""

from pathlib import Path

from tradingsite.settings import databases, env, keys
from tradingsite.settings.base import *  # noqa: F403
from tradingsite.settings.base import DATABASES, VAR_DIR

keys.var_directory(VAR_DIR)
keys.existing_folder("TRADING_DATABASE_PATH", Path(DATABASES["default"]["NAME"]))

DEBUG = env.env_bool("TRADING_DEBUG", False)
WHITENOISE_USE_FINDERS = DEBUG
WHITENOISE_AUTOREFRESH = DEBUG

_key_file = env.env_path("TRADING_SECRET_KEY_FILE", VAR_DIR / "secret.key")
SECRET_KEY = env.env_str("TRADING_SECRET_KEY") or keys.read_or_create(_key_file, keys.new_secret)

_field_key_file = env.env_path("TRADING_FIELD_KEYS_FILE", VAR_DIR / "field.keys")
FIELD_ENCRYPTION_KEYS = env.env_list("TRADING_FIELD_KEYS") or keys.field_keys(_field_key_file)

ALLOWED_HOSTS = env.env_list("TRADING_ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]"])
PUBLIC_URL = env.env_str("TRADING_PUBLIC_URL", "http://localhost:8000")

_database_url = env.env_str("TRADING_DATABASE_URL")
if _database_url:
    DATABASES["default"] = databases.postgres("TRADING_DATABASE_URL", _database_url)
