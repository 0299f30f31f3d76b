"""Production: PostgreSQL behind TLS. Anything weak stops the start with a sentence that says what to do."""

from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

from tradingsite.settings import databases, env, keys
from tradingsite.settings.base import *  # noqa: F403
from tradingsite.settings.base import ALPACA_URL, BINANCE_URL, DATABASES, LIVE_TRADING_ENABLED, VAR_DIR


def _required(name: str) -> str:
    value = env.env_str(name)
    if not value:
        raise ImproperlyConfigured(f"{name} must be set in production.")
    return value


def _secret_key() -> str:
    path = env.env_path("TRADING_SECRET_KEY_FILE", VAR_DIR / "secret.key")
    key = env.env_str("TRADING_SECRET_KEY") or keys.read_private(path)
    if len(key) < keys.MIN_SECRET_LENGTH or len(set(key)) < 10 or key.startswith("django-insecure"):
        raise ImproperlyConfigured(
            "TRADING_SECRET_KEY must be a random key of 50 characters or more; it is too short or not random."
        )
    return key


def _allowed_hosts() -> list[str]:
    hosts = _required("TRADING_ALLOWED_HOSTS").split(",")
    for host in (item.strip() for item in hosts):
        if not host or "*" in host or host == ".":
            raise env.wrong(
                "TRADING_ALLOWED_HOSTS", ",".join(hosts), "a list of host names without wildcards"
            )
    return [host.strip() for host in hosts]


def _public_url() -> str:
    url = _required("TRADING_PUBLIC_URL").rstrip("/")
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname or parts.path or parts.username:
        raise env.wrong("TRADING_PUBLIC_URL", url, "an https:// origin without a path")
    return url


if env.env_choice("TRADING_CLOCK", "real", ("real", "run")) != "real" or env.env_bool(
    "TRADING_REPLAY", False
):
    raise ImproperlyConfigured(
        "TRADING_CLOCK and TRADING_REPLAY belong to replays; unset them in production."
    )
if LIVE_TRADING_ENABLED and (BINANCE_URL or ALPACA_URL):
    raise ImproperlyConfigured(
        "TRADING_BINANCE_URL and TRADING_ALPACA_URL are for tests; unset them where TRADING_LIVE_ENABLED is True."
    )
if env.env_bool("TRADING_DEBUG", False):
    raise ImproperlyConfigured("TRADING_DEBUG must be False in production.")
DEBUG = False

keys.var_directory(VAR_DIR)
SECRET_KEY = _secret_key()
ALLOWED_HOSTS = _allowed_hosts()
PUBLIC_URL = _public_url()
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]
DATABASES["default"] = databases.postgres("TRADING_DATABASE_URL", _required("TRADING_DATABASE_URL"))
_field_key_file = env.env_path("TRADING_FIELD_KEYS_FILE", VAR_DIR / "field.keys")
FIELD_ENCRYPTION_KEYS = env.env_list("TRADING_FIELD_KEYS") or keys.checked(
    keys.read_private(_field_key_file).split(), _field_key_file
)

# Explicit on purpose: a wrong guess either breaks the redirect to https or lets clients forge their address.
_required("TRADING_TRUSTED_PROXIES")
TRUSTED_PROXIES = env.env_int("TRADING_TRUSTED_PROXIES", 0, minimum=0, maximum=5)
if TRUSTED_PROXIES:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

SECURE_SSL_REDIRECT = True
# An API client that speaks http is told so, not redirected: its token has already crossed the wire in clear.
SECURE_REDIRECT_EXEMPT = [r"^api/", r"^healthz$", r"^readyz$"]
SECURE_HSTS_SECONDS = 63_072_000
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
SECURE_HSTS_PRELOAD = True
SESSION_COOKIE_SECURE = True
SESSION_COOKIE_NAME = "__Host-session"
CSRF_COOKIE_SECURE = True
CSRF_COOKIE_NAME = "__Host-csrf"
LANGUAGE_COOKIE_SECURE = True
