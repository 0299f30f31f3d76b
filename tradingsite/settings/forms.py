"""What the text of a variable must look like. Numbers, choices, booleans and paths have readers of their own in `env`."""

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

MIN_SECRET_LENGTH: Final = 50
_LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*|\[[0-9A-Fa-f:.]+\]")
_ADMIN_PATH: Final = re.compile(r"/?[A-Za-z0-9_-]+(?:/[A-Za-z0-9_-]+)*/?")
_WORD: Final = re.compile(r"[\x21-\x7e]{1,200}")

Form = tuple[str, Callable[[str], bool]]


def is_host(text: str) -> bool:
    """A name, an IPv4 address, or an IPv6 address in brackets."""
    return bool(_HOST.fullmatch(text))


def is_bind(text: str) -> bool:
    """host:port with a port from 1 to 65535."""
    host, colon, port = text.rpartition(":")
    return bool(colon) and is_host(host) and port.isascii() and port.isdigit() and 1 <= int(port) <= 65535


def is_url(text: str, *schemes: str) -> bool:
    """An address with a host and a port that exists."""
    try:
        parts = urlsplit(text)
        return parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def is_origin(text: str) -> bool:
    """http(s)://host[:port] and nothing else."""
    if not is_url(text, "http", "https"):
        return False
    parts = urlsplit(text)
    return is_host(_host_of(text)) and not (parts.path.strip("/") or parts.query or parts.username)


def _host_of(text: str) -> str:
    host = urlsplit(text).hostname or ""
    return f"[{host}]" if ":" in host else host


def is_fernet_key(text: str) -> bool:
    """32 bytes in URL-safe base64."""
    try:
        return len(base64.urlsafe_b64decode(text.encode("ascii"))) == 32 and len(text) == 44
    except (ValueError, binascii.Error):
        return False


def is_secret(text: str) -> bool:
    """Long, not one letter again and again, not the one of Django's template."""
    return len(text) >= MIN_SECRET_LENGTH and len(set(text)) >= 10 and not text.startswith("django-insecure")


def is_allowed_hosts(text: str) -> bool:
    """Names with or without a leading dot, addresses, or the star; production refuses what is too wide."""
    hosts = [host.strip() for host in text.split(",")]
    return all(host == "*" or is_host(host.removeprefix("*.").removeprefix(".")) for host in hosts)


def is_postgres(text: str) -> bool:
    """A scheme, a database, and a host in its place or as `host=` in the query (a directory of sockets)."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    has_host = bool(parts.hostname) or "host=" in parts.query
    return (
        parts.scheme in ("postgresql", "postgres") and port != 0 and bool(parts.path.strip("/")) and has_host
    )


def is_redis(text: str) -> bool:
    """redis://, rediss:// or the path of a socket."""
    return is_url(text, "redis", "rediss") or (text.startswith("unix:///") and len(text) > 8)


def is_email(text: str) -> bool:
    """name@host, without a display name."""
    return bool(re.fullmatch(r"[A-Za-z0-9._+-]{1,64}@[A-Za-z0-9.-]{1,190}", text))


def is_word(text: str) -> bool:
    """Printable, without spaces: what a header or a field of a message can carry."""
    return bool(_WORD.fullmatch(text))


_POSTGRES: Final[Form] = ("postgresql://user:password@host:5432/name", is_postgres)
_STAND_IN: Final[Form] = (
    "an address like http://127.0.0.1:9000",
    lambda text: is_url(text, "http", "https"),
)
_TEXT: Final[Form] = ("printable characters without spaces, 200 at most", is_word)
BIND: Final[Form] = ("host:port with a port from 1 to 65535, e.g. 127.0.0.1:8000", is_bind)

FORMS: Final[Mapping[str, Form]] = MappingProxyType(
    {
        "TRADING_DATABASE_URL": _POSTGRES,
        "TRADING_TEST_DATABASE_URL": _POSTGRES,
        "TRADING_REDIS_URL": ("redis://host:6379/0, rediss://... or unix:///path", is_redis),
        "TRADING_SECRET_KEY": (f"a random key of {MIN_SECRET_LENGTH} characters or more", is_secret),
        "TRADING_FIELD_KEYS": (
            "comma separated Fernet keys (44 characters each, 32 bytes in URL-safe base64)",
            lambda text: all(is_fernet_key(key.strip()) for key in text.split(",")),
        ),
        "TRADING_ALLOWED_HOSTS": ("comma separated host names", is_allowed_hosts),
        "TRADING_PUBLIC_URL": ("an address without a path, e.g. https://trading.example.org", is_origin),
        "TRADING_BIND": BIND,
        "TRADING_ADMIN_PATH": (
            "a path of letters, digits, - and _, e.g. backoffice/",
            lambda text: bool(_ADMIN_PATH.fullmatch(text)),
        ),
        "TRADING_EMAIL_URL": (
            "smtp://user:password@host:587 or smtps://user:password@host:465",
            lambda text: is_url(text, "smtp", "smtps"),
        ),
        "TRADING_EMAIL_FROM": ("an e-mail address", is_email),
        "TRADING_NOTIFY_ALLOW": (
            "comma separated host:port entries",
            lambda text: all(is_bind(entry.strip()) for entry in text.split(",")),
        ),
        "TRADING_HEARTBEAT_URL": (
            "an address like https://monitor.example.org/ping",
            lambda text: is_url(text, "http", "https"),
        ),
        "TRADING_BINANCE_URL": _STAND_IN,
        "TRADING_ALPACA_URL": _STAND_IN,
        "TRADING_ALPACA_KEY": _TEXT,
        "TRADING_ALPACA_SECRET": _TEXT,
        "TRADING_FXCM_FIX_HOST": ("a host name or address", is_host),
        "TRADING_FXCM_FIX_SENDER": _TEXT,
        "TRADING_FXCM_FIX_TARGET": _TEXT,
        "TRADING_FXCM_FIX_TARGET_SUB": _TEXT,
        "TRADING_FXCM_FIX_MD_SENDER": _TEXT,
        "TRADING_FXCM_FIX_MD_USER": _TEXT,
        "TRADING_FXCM_FIX_MD_PASSWORD": (
            "printable characters",
            lambda text: text.isascii() and text.isprintable(),
        ),
    }
)
