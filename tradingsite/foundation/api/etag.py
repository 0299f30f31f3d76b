"""Strong ETags: what you read has a version; who changes it says which version they saw."""

from __future__ import annotations

import hashlib
import re
from typing import Any

from django.utils.translation import gettext as _

from tradingsite.foundation.errors import PreconditionFailed, PreconditionRequired

from .rendering import ApiRenderer

_TAG = re.compile(r'(?:W/)?"[^"]*"')


def etag_of(data: Any) -> str:
    """The strong ETag of a representation (what GET answers). Raises ValueError when it holds NaN."""
    return f'"{hashlib.sha256(ApiRenderer().render(data)).hexdigest()[:32]}"'


def matches_none(header: str, etag: str) -> bool:
    """Whether If-None-Match names this version (then 304). Weak comparison, as the standard says."""
    if header.strip() == "*":
        return True
    return etag in {tag.removeprefix("W/") for tag in _TAG.findall(header)}


def require_match(header: str, etag: str) -> None:
    """If-Match must name the current version. Raises PreconditionRequired when absent, PreconditionFailed when old."""
    if not header.strip():
        raise PreconditionRequired(_("Send the ETag you read in the header If-Match."))
    if header.strip() != "*" and etag not in _TAG.findall(header):
        raise PreconditionFailed(_("Somebody changed it after you read it. Read it again."), etag=etag)
