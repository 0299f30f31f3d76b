"""Cursor pagination over (time, id), newest first: rows inserted meanwhile neither repeat nor hide others."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.core.exceptions import ValidationError
from django.db.models import Model, Q, QuerySet
from django.utils.translation import gettext as _
from rest_framework.request import Request

from tradingsite.foundation.clock import as_utc
from tradingsite.foundation.errors import Invalid
from tradingsite.foundation.jsonable import iso

DEFAULT_LIMIT = 50
MAX_LIMIT = 200


@dataclass(frozen=True, slots=True)
class Page:
    """Rows of one page and the addresses of its neighbours (None at the ends)."""

    rows: Sequence[Any]
    next: str | None
    previous: str | None

    def body(self, item: Callable[[Any], Any]) -> dict[str, Any]:
        """The JSON body of the page."""
        return {"results": [item(row) for row in self.rows], "next": self.next, "previous": self.previous}

    @property
    def link_header(self) -> str:
        """The Link header, "" when this is the only page."""
        links = (("next", self.next), ("prev", self.previous))
        return ", ".join(f'<{url}>; rel="{rel}"' for rel, url in links if url)


@dataclass(frozen=True, slots=True)
class _Cursor:
    newer: bool
    at: datetime | None
    pk: Any

    def encode(self) -> str:
        raw = json.dumps(
            [int(self.newer), iso(self.at) if self.at else None, str(self.pk)], separators=(",", ":")
        )
        return base64.urlsafe_b64encode(raw.encode()).decode().rstrip("=")


def paginate(queryset: QuerySet[Any], *, request: Request, time_field: str | None) -> Page:
    """One page of `queryset`, ordered by `time_field` (None: by id alone) and id, newest first.

    Reads `limit` (1 to 200, default 50) and `cursor` from the query. Raises Invalid when they are wrong.
    """
    limit = _limit(request.query_params.get("limit"))
    cursor = _decode(request.query_params.get("cursor"), queryset.model, time_field)
    names = [time_field, "pk"] if time_field else ["pk"]
    newer = cursor is not None and cursor.newer
    order = names if newer else [f"-{name}" for name in names]
    found = queryset.order_by(*order)
    if cursor is not None:
        found = found.filter(_beyond(cursor, time_field))
    rows = list(found[: limit + 1])
    more, rows = len(rows) > limit, rows[:limit]
    if newer:
        rows.reverse()
    has_next, has_previous = (True, more) if newer else (more, cursor is not None)

    def url(row: Model, *, to_newer: bool) -> str:
        at = getattr(row, time_field) if time_field else None
        query = [(k, v) for k, v in request.query_params.items() if k != "cursor"]
        pairs = [*query, ("cursor", _Cursor(to_newer, at, row.pk).encode())]
        return f"{request.path}?{urlencode(pairs)}"

    return Page(
        rows=rows,
        next=url(rows[-1], to_newer=False) if rows and has_next else None,
        previous=url(rows[0], to_newer=True) if rows and has_previous else None,
    )


def _beyond(cursor: _Cursor, time_field: str | None) -> Q:
    op = "gt" if cursor.newer else "lt"
    by_id = Q(**{f"pk__{op}": cursor.pk})
    if time_field is None:
        return by_id
    return Q(**{f"{time_field}__{op}": cursor.at}) | (Q(**{time_field: cursor.at}) & by_id)


def _limit(text: str | None) -> int:
    if text is None:
        return DEFAULT_LIMIT
    limit = int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0
    if not 1 <= limit <= MAX_LIMIT:
        detail = _("limit is a whole number from 1 to %(most)s.") % {"most": MAX_LIMIT}
        raise Invalid(detail, errors=[{"pointer": "?limit", "code": "invalid", "detail": detail}])
    return limit


def _decode(text: str | None, model: type[Model], time_field: str | None) -> _Cursor | None:
    if text is None:
        return None
    try:
        newer, at, pk = json.loads(
            base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        )
        if newer not in (0, 1) or not isinstance(pk, str) or (at is None) != (time_field is None):
            raise ValueError("not one of our cursors")
        when = as_utc(datetime.fromisoformat(at)) if at else None
        key = model._meta.pk.to_python(pk)
        # An id beyond what the database can hold would fail inside the query.
        if isinstance(key, int) and abs(key) >= 2**63:
            raise ValueError("not one of our cursors")
        return _Cursor(bool(newer), when, key)
    except (ValueError, TypeError, binascii.Error, ValidationError, RecursionError) as e:
        detail = _("This cursor is not one of ours. Start again without it.")
        raise Invalid(detail, errors=[{"pointer": "?cursor", "code": "invalid", "detail": detail}]) from e
