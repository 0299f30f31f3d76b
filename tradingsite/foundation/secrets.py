"""Stored credentials, encrypted with keys that are not in the database (settings.FIELD_ENCRYPTION_KEYS, newest first).

AES-256-GCM; the key's id is part of the stored text, and the place it belongs to (e.g. "account:7:api-secret") is
authenticated, so a ciphertext copied into another row cannot be opened there. Nothing here logs or shows a value.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from .errors import DomainError

_VERSION = "v1"
_NONCE_BYTES = 12


class Undecryptable(DomainError):
    """A stored secret cannot be opened (wrong place, missing key, damaged). Enter it again; do not trade meanwhile."""

    default_code = "secret-unreadable"


def seal(clear: str, *, place: str) -> str:
    """`clear` encrypted for `place` with the newest key; every call gives another text."""
    key_id, key = _keys()[0]
    nonce = os.urandom(_NONCE_BYTES)
    sealed = nonce + AESGCM(key).encrypt(nonce, clear.encode(), place.encode())
    return f"{_VERSION}:{key_id}:{base64.urlsafe_b64encode(sealed).decode()}"


def unseal(sealed: str, *, place: str) -> str:
    """The secret stored at `place`. Raises Undecryptable; never gives something half right."""
    try:
        version, key_id, text = sealed.split(":")
        raw = base64.urlsafe_b64decode(text.encode())
        key = dict(_keys())[key_id]
        if version != _VERSION:
            raise ValueError(version)
        return AESGCM(key).decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], place.encode()).decode()
    except (ValueError, KeyError, InvalidTag, binascii.Error) as e:
        raise Undecryptable(f"The secret stored for {place} cannot be opened.") from e


def reseal(sealed: str, *, place: str) -> str:
    """The same secret under the newest key (rotation); unchanged when it is already."""
    if sealed.split(":")[1:2] == [_keys()[0][0]]:
        unseal(sealed, place=place)
        return sealed
    return seal(unseal(sealed, place=place), place=place)


def hint(clear: str) -> str:
    """What may be shown of a secret: its last four characters, of short ones nothing."""
    return f"…{clear[-4:]}" if len(clear) >= 12 else "…"


def _keys() -> list[tuple[str, bytes]]:
    keys = []
    for text in settings.FIELD_ENCRYPTION_KEYS:
        key = base64.urlsafe_b64decode(text)
        if len(key) != 32:
            raise ImproperlyConfigured("Each of FIELD_ENCRYPTION_KEYS must be 32 bytes in URL-safe base64.")
        keys.append((hashlib.sha256(b"key-id" + key).hexdigest()[:8], key))
    if not keys:
        raise ImproperlyConfigured("FIELD_ENCRYPTION_KEYS is empty: credentials cannot be stored.")
    return keys
