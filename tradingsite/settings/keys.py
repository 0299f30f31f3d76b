"""Secrets that live in files: made once, readable by their owner only."""

import base64
import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from .forms import MIN_SECRET_LENGTH as MIN_SECRET_LENGTH
from .forms import is_fernet_key


def new_secret() -> str:
    """A signing key of 64 URL-safe characters (384 bits)."""
    return secrets.token_urlsafe(48)


def new_field_key() -> str:
    """A Fernet key: 32 random bytes, URL-safe base64."""
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


def private_directory(path: Path) -> Path:
    """Make `path` (mode 0700) if it is missing and return it."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def var_directory(path: Path) -> Path:
    """`private_directory` for the one of TRADING_VAR_DIR; raises ImproperlyConfigured when it cannot be made or written."""
    allowed = "a directory that this user can make and write to"
    try:
        private_directory(path)
    except OSError as e:
        raise ImproperlyConfigured(f"TRADING_VAR_DIR must be {allowed}; {str(path)!r}: {e.strerror}.") from e
    if not os.access(path, os.W_OK | os.X_OK):
        raise ImproperlyConfigured(f"TRADING_VAR_DIR must be {allowed}; it is {str(path)!r}.")
    return path


def existing_folder(variable: str, path: Path) -> Path:
    """`path` when the directory it lies in exists; else ImproperlyConfigured names the variable."""
    if not path.parent.is_dir():
        raise ImproperlyConfigured(
            f"{variable} must be a file in a directory that exists; it is {str(path)!r}."
        )
    return path


def field_keys(path: Path) -> list[str]:
    """The Fernet keys of a file, made with one when there is none. Raises ImproperlyConfigured for anything else."""
    return checked(read_or_create(path, new_field_key).split(), path)


def checked(found: list[str], path: Path) -> list[str]:
    """The keys read from `path`. Raises ImproperlyConfigured, without showing it, for what is no Fernet key."""
    if not all(is_fernet_key(key) for key in found):
        raise ImproperlyConfigured(
            f"The key file {path} must hold Fernet keys (44 characters), one per line."
        )
    return found


def read_private(path: Path) -> str:
    """The content of a key file. Raises ImproperlyConfigured when others may read it or it is empty."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        content = path.read_text(encoding="utf-8").strip()
    except OSError as e:
        raise ImproperlyConfigured(f"The key file {path} cannot be read: {e.strerror}.") from e
    if mode & 0o077:
        raise ImproperlyConfigured(
            f"The key file {path} has mode {mode:04o}: other users can read it. Run: chmod 600 {path}"
        )
    if not content:
        raise ImproperlyConfigured(f"The key file {path} is empty.")
    return content


def read_or_create(path: Path, make: Callable[[], str]) -> str:
    """The content of `path`, written first (mode 0600) when it does not exist.

    Several processes may start at once: each writes its own temporary file and `os.link` lets exactly one of
    them become the key, so all read the same one.
    """
    if not path.exists():
        private_directory(path.parent)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(make() + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(temporary, path)
        except FileExistsError:
            pass  # another process was first: its key is the key
        finally:
            temporary.unlink()
    return read_private(path)
