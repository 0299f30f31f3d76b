"""Base classes of all API views. How to write a resource:

    class NoteBody(StrictSerializer):                      # explicit fields; unknown ones answer 400
        text = serializers.CharField(max_length=200)

    class NoteList(ListView):
        params = {"state": choices("open", "done"), "since": instant}     # anything else in the query answers 400
        time_field = "created_at"                                          # newest first; None = by id
        required_role = {"POST": Role.TRADER}                              # default: GET viewer, others operator
        throttle_scope = "orders"                                          # default: write
        idempotency_required = True                                        # POST without Idempotency-Key answers 400
        answers = {"GET": (200, NoteItem), "POST": (201, NoteItem)}        # frozen dataclasses, for the description
        bodies = {"POST": NoteBody}

        def rows(self):                                    # a selector; self.query holds the parsed parameters
            return selectors.notes(user=self.request.user, **self.query)

        def item(self, row):                               # Decimal, datetime, timedelta are rendered for you
            return NoteItem(id=row.pk, text=row.text, created_at=row.created_at)

        def post(self, request):
            note = services.add(actor=self.actor, now=clock.now(), **self.body(NoteBody))
            return Response(self.item(note), status=201, headers={"Location": f"/api/notes/{note.pk}/"})

    class NoteDetail(ApiView):
        def get(self, request, pk):                        # raise errors.NotFound and the like: rendered as problems
            return Response(show(selectors.note(pk)))

        def patch(self, request, pk):                      # If-Match with the ETag of GET is checked before this runs
            return Response(show(services.change(pk, actor=self.actor, **self.body(NoteBody))))

    urlpatterns = [
        *path_both("notes", NoteList.as_view(), "notes"),
        *path_both("notes/<int:pk>", NoteDetail.as_view(), "note"),
    ]

What GET answers must not contain the current time, else its ETag never matches. PUT, PATCH and DELETE run in
a transaction (only one at a time per address); a handler that calls a venue sets `if_match_methods =
frozenset()` and relies on its service.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, cast

from django.db import connection, transaction
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path
from django.utils.translation import gettext as _
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from tradingsite.foundation import audit
from tradingsite.foundation.errors import DomainError, Invalid
from tradingsite.foundation.roles import Role

from . import etag, idempotency, pagination, problem, throttles
from .auth import SessionAuthentication, TokenAuthentication
from .params import Reader, read
from .permissions import RoleOrScope
from .rendering import ApiParser, ApiRenderer, storable

MAX_BODY_BYTES = 1_048_576


class ContentTooLarge(DomainError):
    """Send less than 1 MB."""

    status = 413
    default_code = "content-too-large"


class StrictSerializer(serializers.Serializer[Any]):
    """Refuses fields it does not know: a misspelt limit must not be ignored silently."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            writable = {name for name, field in self.fields.items() if not field.read_only}
            unknown = sorted(str(name) for name in set(data) - writable)
            if unknown:
                message = _("Unknown field.")
                problems = {
                    name: [serializers.ErrorDetail(message, code="unknown-field")] for name in unknown
                }
                raise serializers.ValidationError(problems)
        return super().to_internal_value(data)


class ApiView(APIView):
    """One resource: authentication, role, throttle, strict query and body, ETag, Idempotency-Key, problem errors."""

    authentication_classes = [TokenAuthentication, SessionAuthentication]
    permission_classes = [RoleOrScope]
    throttle_classes = [throttles.MinuteThrottle]
    renderer_classes = [ApiRenderer]
    parser_classes = [ApiParser]

    required_role: ClassVar[Role | Mapping[str, Role] | None] = None
    throttle_scope: ClassVar[str | None] = None
    params: ClassVar[Mapping[str, Reader]] = {}
    idempotency_required: ClassVar[bool] = False
    if_match_methods: ClassVar[frozenset[str]] = frozenset({"PUT", "PATCH", "DELETE"})
    # For the API's description (openapi.py): method -> status and class of the answer; method -> class of the body.
    answers: ClassVar[Mapping[str, tuple[int, Any]]] = {}
    bodies: ClassVar[Mapping[str, type[StrictSerializer]]] = {}

    query: dict[str, Any]

    @property
    def actor(self) -> audit.Actor:
        """Who asks, for services and the audit log."""
        return audit.actor_of(self.request)

    def body(self, serializer: type[serializers.Serializer[Any]]) -> dict[str, Any]:
        """The validated body. Raises ValidationError with one problem per wrong or unknown field."""
        if not issubclass(serializer, StrictSerializer):
            raise TypeError(f"{serializer.__name__} must be a StrictSerializer.")
        bound = serializer(data=self.request.data, context={"request": self.request})
        bound.is_valid(raise_exception=True)
        return dict(bound.validated_data)

    def readers(self) -> Mapping[str, Reader]:
        """Every query parameter this view knows."""
        return self.params

    def etag(self, data: Any) -> str:
        """The strong ETag of what GET answers."""
        return etag.etag_of(data)

    def require_match(self, header: str, data: Any) -> None:
        """Check If-Match against what GET answers now. Raises PreconditionRequired or PreconditionFailed."""
        etag.require_match(header, self.etag(data))

    def kept(self, data: Any) -> Any:
        """What of an answer is stored for a repeated Idempotency-Key: all, unless it holds a secret."""
        return data

    # --- how a request runs ---------------------------------------------------------------------------------

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        self.args, self.kwargs = args, kwargs
        self.headers = self.default_response_headers
        self.request = drf = self.initialize_request(request, *args, **kwargs)
        response: HttpResponseBase
        try:
            self.initial(drf, *args, **kwargs)
            response = self._answer(drf)
        except Exception as exc:  # noqa: BLE001  the border of the API: every error becomes a problem document
            response = self.handle_exception(exc)
        self.response = self.finalize_response(drf, cast(Response, response), *args, **kwargs)
        return self.response

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        handler = getattr(self, (request.method or "").lower(), None)
        if handler is None or request.method not in self.allowed_methods:
            self.http_method_not_allowed(request)
        if int(request.META.get("CONTENT_LENGTH") or 0) > MAX_BODY_BYTES:
            raise ContentTooLarge(_("The body may have at most %(most)s bytes.") % {"most": MAX_BODY_BYTES})
        if not all(storable(str(value)) for value in kwargs.values()):
            raise Http404
        self.query = read(request._request.GET, self.readers())

    def _answer(self, request: Request) -> HttpResponseBase:
        handler: Callable[..., HttpResponseBase] = getattr(self, (request.method or "").lower())
        if request.method == "POST":
            return self._once(request, handler)
        if request.method in self.if_match_methods and hasattr(self, "get"):
            with _one_at_a_time(request.path):
                current = self.get(request, *self.args, **self.kwargs)
                self.require_match(request.headers.get("If-Match", ""), current.data)
                return handler(request, *self.args, **self.kwargs)
        return handler(request, *self.args, **self.kwargs)

    def _once(self, request: Request, handler: Callable[..., HttpResponseBase]) -> HttpResponseBase:
        """Run a POST, or replay the answer of the first one with the same Idempotency-Key."""
        key = idempotency.key_of(request.headers.get(idempotency.HEADER), required=self.idempotency_required)
        if key is None:
            return handler(request, *self.args, **self.kwargs)
        mark = idempotency.fingerprint("POST", request.META.get("QUERY_STRING", ""), request.data)
        found = idempotency.begin(
            principal=throttles.principal(request), route=request.path.rstrip("/"), key=key, print_=mark
        )
        if isinstance(found, idempotency.Outcome):
            return _replay(found)
        try:
            response = handler(request, *self.args, **self.kwargs)
        except Exception as exc:  # noqa: BLE001  its answer is what a repeated request must get, too
            response = self.handle_exception(exc)
        data = self.kept(response.data) if isinstance(response, Response) else None
        idempotency.finish(found, status=response.status_code, data=data, headers=response.headers)
        return response

    def finalize_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> Response:
        if isinstance(response, Response):  # a file download is a plain Django response
            response = self._versioned(request, response)
        response = super().finalize_response(request, response, *args, **kwargs)
        response.headers["API-Version"] = "1"
        response.headers["Cache-Control"] = "private, no-cache"
        allowance = getattr(request._request, "allowance", None)
        for name, value in (allowance.headers if allowance else {}).items():
            response.headers[name] = value
        return response

    def _versioned(self, request: Request, response: Response) -> Response:
        """The response with its ETag, or 304; a body that is not JSON (NaN) becomes a 500 here, not half-way out."""
        try:
            tag = self.etag(response.data)
        except (ValueError, TypeError) as exc:
            return self.handle_exception(exc)
        if request.method not in ("GET", "HEAD") or response.status_code != 200:
            return response
        if etag.matches_none(request.headers.get("If-None-Match", ""), tag):
            response = Response(status=304)
        response["ETag"] = tag
        return response

    def get_exception_handler(self) -> Callable[[Exception, dict[str, Any]], Response | None]:
        return problem.handler


class ListView(ApiView):
    """A collection with cursor pagination. Subclasses give `rows` and `item`."""

    time_field: ClassVar[str | None] = "created_at"

    def rows(self) -> Any:
        """The QuerySet this user may see, filtered by self.query, from a selector; any order."""
        raise NotImplementedError

    def item(self, row: Any) -> Any:
        """One row as plain values."""
        raise NotImplementedError

    def items(self, rows: Sequence[Any]) -> list[Any]:
        """The rows of a page as plain values; for what is cheaper to look up for all of them at once."""
        return [self.item(row) for row in rows]

    def readers(self) -> Mapping[str, Reader]:
        return {**self.params, "limit": str, "cursor": str}

    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        for name in ("limit", "cursor"):
            self.query.pop(name, None)
        page = pagination.paginate(self.rows(), request=request, time_field=self.time_field)
        links = page.link_header
        body = {"results": self.items(page.rows), "next": page.next, "previous": page.previous}
        return Response(body, headers={"Link": links} if links else None)


class UnknownRoute(ApiView):
    """Any address under /api/ that does not exist: 404 as a problem (401 for strangers)."""

    schema = None

    def readers(self) -> Mapping[str, Reader]:
        return dict.fromkeys(self.request.query_params, str)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        self.perform_authentication(request)
        self.check_permissions(request)
        self.check_throttles(request)
        raise Http404


def path_both(route: str, view: Callable[..., Any], name: str) -> list[URLPattern]:
    """`route` (without trailing slash) answering directly with and without it: a redirect would lose a POST's body."""
    if route.endswith("/"):
        raise Invalid(f"Write the route without trailing slash, was {route!r}.")
    return [path(f"{route}/", view, name=name), path(route, view)]


def _replay(outcome: idempotency.Outcome) -> Response:
    content_type = problem.CONTENT_TYPE if outcome.status >= 400 else None
    headers = {**outcome.headers, idempotency.REPLAYED: "true"}
    return Response(outcome.data, status=outcome.status, headers=headers, content_type=content_type)


@contextmanager
def _one_at_a_time(path_: str) -> Iterator[None]:
    """A transaction in which nobody else changes this address: checking the ETag and writing are one step."""
    with transaction.atomic():
        if connection.vendor == "postgresql":
            number = int.from_bytes(
                hashlib.sha256(path_.rstrip("/").encode()).digest()[:8], "big", signed=True
            )
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", [number])
        yield
