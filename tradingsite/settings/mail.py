"""E-mail from one address of a server. Without one, e-mail channels say that they cannot deliver."""

from typing import Any
from urllib.parse import unquote, urlsplit


def configuration(url: str) -> dict[str, Any]:
    """Django's settings for smtp://user:password@host:port (with STARTTLS, except on this machine) or smtps://."""
    if not url:
        return {"EMAIL_HOST": "", "EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend"}
    parts = urlsplit(url)
    is_tls = parts.scheme == "smtps"
    host = parts.hostname or ""
    return {
        "EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend",
        "EMAIL_HOST": host,
        "EMAIL_PORT": parts.port or (465 if is_tls else 587),
        "EMAIL_HOST_USER": unquote(parts.username or ""),
        "EMAIL_HOST_PASSWORD": unquote(parts.password or ""),
        "EMAIL_USE_SSL": is_tls,
        "EMAIL_USE_TLS": not is_tls and host not in ("localhost", "127.0.0.1"),
    }
