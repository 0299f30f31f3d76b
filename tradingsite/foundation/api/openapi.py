"""How our views describe themselves in OpenAPI 3.1: settings.REST_FRAMEWORK["DEFAULT_SCHEMA_CLASS"].

Everything comes from what the views declare anyway: `params` (readers), `bodies` (strict serializers), `answers`
(dataclasses, see shapes.py), roles, If-Match and Idempotency-Key rules.
"""

from __future__ import annotations

from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent
from drf_spectacular.utils import OpenApiParameter

from . import params, permissions, shapes
from .pagination import DEFAULT_LIMIT, MAX_LIMIT
from .problem import CONTENT_TYPE
from .views import ApiView, ListView, StrictSerializer

_PROBLEM: dict[str, Any] = {
    "type": "object",
    "description": "RFC 9457: what went wrong. `code` is stable, title and detail follow Accept-Language.",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string"},
        "code": {"type": "string"},
        "request_id": {"type": "string"},
        "params": {"type": "object", "additionalProperties": {}},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {name: {"type": "string"} for name in ("pointer", "code", "detail")},
                "required": ["pointer", "code", "detail"],
            },
        },
    },
    "required": ["type", "title", "status", "detail", "instance", "code", "request_id"],
}
_MEANING = {
    200: "Done.",
    201: "Created; Location is its address.",
    202: "Accepted; Location says where to look.",
    204: "Done, nothing to say.",
    304: "Unchanged since the version named in If-None-Match.",
    400: "Wrong or unknown parameter, field or header.",
    401: "Not logged in, or the token is not valid.",
    403: "The role or the token's scope does not reach.",
    404: "It does not exist.",
    406: "Only JSON can be answered.",
    409: "It contradicts the current state.",
    412: "The version in If-Match is old.",
    413: "More than 1 MB.",
    415: "The body must be JSON.",
    422: "Refused by a rule, or the Idempotency-Key belongs to another request.",
    423: "The switch does not allow it now.",
    428: "If-Match is missing.",
    429: "Too many requests; Retry-After says how long to wait.",
    503: "A part we need does not answer.",
}
_USUAL_STATUS = {"GET": 200, "POST": 201, "PUT": 200, "PATCH": 200, "DELETE": 204}
_PAGING: dict[str, dict[str, Any]] = {
    "limit": {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
    "cursor": {"type": "string", "description": "From `next` or `previous` of another page."},
}


class ApiSchema(AutoSchema):
    """The description of one ApiView."""

    view: ApiView  # type: ignore[override]

    def get_operation_id(self) -> str:
        words = [word.strip("{}") for word in self.path.strip("/").split("/") if word != "api"]
        return "_".join([self.method.lower(), *words]).replace("-", "_")

    def get_tags(self) -> list[str]:
        words = [word for word in self.path.strip("/").split("/") if word != "api"]
        return words[:1]

    def get_summary(self) -> str:
        doc = getattr(type(self.view), self.method.lower()).__doc__ or type(self.view).__doc__ or ""
        return " ".join(doc.strip().split("\n\n", maxsplit=1)[0].split())

    def get_description(self) -> str:  # type: ignore[override]
        role = permissions.needed_role(self.view, self.method)
        return f"Role: {role.label}." if self.view.permission_classes else "Open to everybody."

    def get_extensions(self) -> dict[str, Any]:
        return {}

    # --- What goes in -------------------------------------------------------------------------------------------

    def get_override_parameters(self) -> list[Any]:
        found = [*self._query_parameters()] if self.method == "GET" else []
        if self.method == "GET" and self.view.permission_classes:
            found.append(_header("If-None-Match", "The ETag you have; answers 304 when nothing changed."))
        if self.method == "POST":
            needed = self.view.idempotency_required
            text = "The same key with the same request happens once (24 hours)."
            schema = {"type": "string", "pattern": r"^[\x21-\x7e]{1,255}$"}
            found.append(_header("Idempotency-Key", text, required=needed, schema=schema))
        if self._needs_match():
            found.append(_header("If-Match", "The ETag you read.", required=True))
        return found

    def _query_parameters(self) -> list[Any]:
        shown = []
        for name, reader in self.view.readers().items():
            paging = isinstance(self.view, ListView) and name in _PAGING
            schema = dict(_PAGING[name]) if paging else params.schema_of(reader)
            text = schema.pop("description", "")
            required = name in getattr(self.view, "required_params", ())
            shown.append(
                OpenApiParameter(name, schema, OpenApiParameter.QUERY, required=required, description=text)
            )
        return shown

    def _needs_match(self) -> bool:
        return self.method in self.view.if_match_methods and hasattr(self.view, "get")

    def _get_filter_parameters(self) -> list[Any]:
        return []  # ours are in `params`

    def _get_pagination_parameters(self) -> list[Any]:
        return []

    def get_request_serializer(self) -> Any:
        return self.view.bodies.get(self.method)

    def _postprocess_serializer_schema(self, schema: Any, serializer: Any, direction: Any) -> Any:
        schema = super()._postprocess_serializer_schema(schema, serializer, direction)  # type: ignore[no-untyped-call]
        if isinstance(serializer, StrictSerializer) and schema.get("properties"):
            schema["additionalProperties"] = False
        return schema

    # --- What comes out -----------------------------------------------------------------------------------------

    def get_response_serializers(self) -> Any:
        return {}  # answers are dataclasses

    def _get_response_bodies(self, direction: str = "response") -> dict[str, Any]:
        status, cls = self.view.answers.get(self.method, (_USUAL_STATUS[self.method], None))
        bodies = {str(status): self._success(status, cls)}
        if self.method == "GET" and self.view.permission_classes:
            bodies["304"] = {"description": _MEANING[304]}
        for code in self._error_codes():
            bodies[str(code)] = self._error(code)
        return bodies

    def _success(self, status: int, cls: Any) -> dict[str, Any]:
        body: dict[str, Any] = {"description": _MEANING[status]}
        if status in (201, 202):
            body["headers"] = {"Location": {"schema": {"type": "string"}}}
        if self.method == "GET" and self.view.permission_classes:
            body["headers"] = {"ETag": {"schema": {"type": "string"}}}
        if cls is not None:
            schema = self._page(cls) if self._is_list() else shapes.schema_of(cls, self._reference)
            body["content"] = {"application/json": {"schema": schema}}
        return body

    def _is_list(self) -> bool:
        return isinstance(self.view, ListView) and self.method == "GET"

    def _page(self, cls: type) -> dict[str, Any]:
        url = {"type": ["string", "null"], "format": "uri-reference"}
        schema = {
            "type": "object",
            "properties": {
                "results": {"type": "array", "items": self._reference(cls)},
                "next": url,
                "previous": url,
            },
            "required": ["results", "next", "previous"],
        }
        return self._component(f"{cls.__name__}Page", f"{cls.__module__}.{cls.__name__}Page", schema)

    def _error(self, code: int) -> dict[str, Any]:
        problem = self._component("Problem", "problem", _PROBLEM)
        body: dict[str, Any] = {"description": _MEANING[code], "content": {CONTENT_TYPE: {"schema": problem}}}
        if code == 429:
            body["headers"] = {"Retry-After": {"schema": {"type": "integer"}, "required": True}}
        if code == 401:
            body["headers"] = {"WWW-Authenticate": {"schema": {"type": "string"}, "required": True}}
        return body

    def _error_codes(self) -> list[int]:
        codes = set(getattr(self.view, "errors", ()))
        if self.view.permission_classes:
            codes |= {400, 401, 403, 406, 429}
        if "{" in self.path:
            codes.add(404)
        if self.method != "GET":
            codes |= {404, 409, 413, 415}
        if self.method == "POST":
            codes |= {422, 423}
        if self._needs_match():
            codes |= {412, 428}
        return sorted(codes)

    def _reference(self, cls: type) -> dict[str, Any]:
        component = ResolvedComponent(cls.__name__, ResolvedComponent.SCHEMA, object=cls)  # type: ignore[no-untyped-call]
        if component not in self.registry:
            self.registry.register(component)  # before its fields: it may contain itself
            component.schema = shapes.object_schema(cls, self._reference)
        return dict(self.registry[component].ref)

    def _component(self, name: str, identity: str, schema: dict[str, Any]) -> dict[str, Any]:
        component = ResolvedComponent(name, ResolvedComponent.SCHEMA, schema=schema, object=identity)  # type: ignore[no-untyped-call]
        self.registry.register_on_missing(component)
        return dict(component.ref)


def _header(
    name: str, text: str, *, required: bool = False, schema: dict[str, Any] | None = None
) -> OpenApiParameter:
    return OpenApiParameter(
        name, schema or {"type": "string"}, OpenApiParameter.HEADER, required=required, description=text
    )
