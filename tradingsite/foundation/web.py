"""What every page does the same way: fragments that answer 204 while nothing changed, posts, and readable refusals."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import wraps
from itertools import chain
from typing import Any, Concatenate, ParamSpec

from django.contrib import messages
from django.db import connection
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render, resolve_url
from django.utils.cache import patch_vary_headers
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from tradingsite.foundation import audit
from tradingsite.foundation.errors import DomainError, Invalid, RateLimited, Refused
from tradingsite.foundation.roles import Role, require

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponseBase]  # called with the request by position


def pulse(*questions: str, times: Sequence[datetime] = ()) -> tuple[Any, ...]:
    """The answers to several scalar SQL questions in one query. The questions are constants of the code, never input.

    `times` fill the %s of the questions, in their order.
    """
    values = [connection.ops.adapt_datetimefield_value(at) for at in times] or None
    with connection.cursor() as cursor:
        cursor.execute("SELECT " + ", ".join(f"({question})" for question in questions), values)
        row = cursor.fetchone()
    return tuple(row)


def as_time(value: Any) -> datetime | None:
    """A time out of `pulse`: PostgreSQL gives one, SQLite its text (UTC)."""
    if value is None or isinstance(value, datetime):
        return value
    return datetime.fromisoformat(str(value)).replace(tzinfo=UTC)


def version_of(*facts: object) -> str:
    """A short fingerprint of what a fragment shows; cheap facts only (newest ids, counts, times)."""
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]


def fragment(
    request: HttpRequest, template: str, version: str, build: Callable[[], Mapping[str, Any]]
) -> HttpResponse:
    """204 when the browser shows `version` already; else the fragment, built only now."""
    if request.GET.get("v") == version:
        response = HttpResponse(status=204)
    else:
        response = render(request, template, {**build(), "version": version})
    response.headers["Cache-Control"] = "no-store, private"
    patch_vary_headers(response, ["HX-Request"])
    return response


_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def csv_cell(value: Any) -> str:
    """A cell for any spreadsheet: numbers and UTC times as they are, text that would be a formula marked as text."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, int | float):
        return str(value)
    text = str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


class _Echo:
    def write(self, line: str) -> str:
        return line


def csv_of(name: str, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> StreamingHttpResponse:
    """A file with a header line and `rows`, sent while they are read, however many there are."""
    writer = csv.writer(_Echo())
    lines = chain([header], rows)
    response = StreamingHttpResponse(
        (writer.writerow([csv_cell(value) for value in line]) for line in lines),
        content_type="text/csv; charset=utf-8",
    )
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    response.headers["Cache-Control"] = "no-store, private"
    return response


def back_to(request: HttpRequest, default: str) -> str:
    """Where a post leads: its `next` when that is one of our own pages, else `default` (a URL name or path)."""
    wanted = request.POST.get("next", "")
    if url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=request.is_secure()):
        return wanted
    return resolve_url(default)


def done(request: HttpRequest, text: str, default: str) -> HttpResponse:
    """After a successful post: say so on the page it leads to (303, so that a reload does not repeat it)."""
    messages.success(request, text)
    response = HttpResponseRedirect(back_to(request, default))
    response.status_code = 303
    return response


def reads(view: View[P]) -> View[P]:
    """A page somebody looks at: GET and HEAD only; expected errors become readable pages."""
    return require_http_methods(["GET", "HEAD"])(_readable(view))


def reads_as(role: Role) -> Callable[[View[P]], View[P]]:
    """A page somebody looks at who has at least `role`. Looking leaves no trace, being refused neither."""

    def decorate(view: View[P]) -> View[P]:
        @wraps(view)
        def guarded(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
            require(request.user, role)
            return view(request, *args, **kwargs)

        return reads(guarded)

    return decorate


def posts(role: Role) -> Callable[[View[P]], View[P]]:
    """A page that changes something: POST only, for `role` and above. A refusal is audited."""

    def decorate(view: View[P]) -> View[P]:
        @wraps(view)
        def guarded(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
            _guard(request, role)
            return view(request, *args, **kwargs)

        return require_http_methods(["POST"])(_readable(guarded))

    return decorate


def form(role: Role) -> Callable[[View[P]], View[P]]:
    """A page with a form: anybody may look, posting needs `role`."""

    def decorate(view: View[P]) -> View[P]:
        @wraps(view)
        def guarded(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
            if request.method == "POST":
                _guard(request, role)
            return view(request, *args, **kwargs)

        return require_http_methods(["GET", "HEAD", "POST"])(_readable(guarded))

    return decorate


def _guard(request: HttpRequest, role: Role) -> None:
    try:
        require(request.user, role)
    except Refused as refusal:
        audit.record(
            action="permission.refused",
            actor=audit.actor_of(request),
            object_type="page",
            object_id=request.path[:80],
            reason=refusal.message,
            request=request,
        )
        raise


def _readable(view: View[P]) -> View[P]:
    @wraps(view)
    def answered(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        try:
            return view(request, *args, **kwargs)
        except DomainError as error:
            return refusal_page(request, error)

    return answered


def refusal_page(request: HttpRequest, error: DomainError) -> HttpResponse:
    """The error as a page (or, for a fragment, as a notice), with its own status."""
    context = {"error": error, "title": title_of(error.status), "status": error.status}
    response = render(request, "errors/error.html", context, status=error.status)
    if isinstance(error, RateLimited):
        response.headers["Retry-After"] = str(error.retry_after_s)
    if request.headers.get("HX-Request") == "true":
        notice = {"app:toast": {"text": error.message, "level": "error"}}
        response.headers["HX-Trigger"] = json.dumps(notice)
    return response


def title_of(status: int) -> str:
    """What went wrong, in two or three words."""
    titles = {
        400: _("Not understood"),
        403: _("Not allowed"),
        404: _("Not found"),
        405: _("Not possible this way"),
        409: _("Somebody was faster"),
        412: _("An older version"),
        422: _("Refused by a risk rule"),
        423: _("Trading is stopped"),
        429: _("Too many attempts"),
        503: _("Not available right now"),
    }
    return titles.get(status, _("Something went wrong"))


def field_errors(error: Invalid) -> dict[str, str]:
    """Problems by field name: "#/params/x" -> "x"."""
    return {problem["pointer"].rsplit("/", 1)[-1]: problem["detail"] for problem in error.errors}


def only(request: HttpRequest, *names: str) -> None:
    """Raises Invalid for a parameter of the address that is none of `names` (nor the page, nor a fragment's version)."""
    for name in request.GET:
        if name not in (*names, "page", "v"):
            raise Invalid(_("There is nothing called %(value)s to filter by.") % {"value": name[:30]})


def page_number(request: HttpRequest) -> int:
    """The page asked for, 1 when it is missing. Raises Invalid for anything but a positive whole number below 100000."""
    text = request.GET.get("page", "1")
    if not text.isascii() or not text.isdigit() or not 0 < int(text[:6]) < 100_000:
        raise Invalid(_("The page must be a whole number from 1, was %(value)s.") % {"value": text[:20]})
    return int(text)
