"""Every address the site answers at, read from the URL resolver."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver

_CONVERTER = re.compile(r"<(?:(?P<kind>\w+):)?(?P<name>\w+)>")


def patterns(resolver: Any = None, prefix: str = "") -> Iterator[tuple[str, URLPattern]]:
    """(route, pattern) of everything; a route keeps its converters: api/runs/<int:pk>/."""
    for entry in (resolver or get_resolver()).url_patterns:
        route = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from patterns(entry, route)
        else:
            yield route, entry


def api_routes() -> list[str]:
    """Routes under api/ and the probes, both slash forms, without the page and the catch-all."""
    found = [route for route, _entry in patterns() if re.match(r"(api/|healthz|readyz)", route)]
    return [route for route in found if not route.startswith("api/docs") and "^" not in route]


def fill(route: str, **values: Any) -> str:
    """The route as an address: converters replaced by `values`, else by something of their kind."""
    samples = {
        "int": "1",
        "slug": "some-slug",
        "str": "some-text",
        "uuid": "00000000-0000-0000-0000-000000000000",
    }

    def value(match: re.Match[str]) -> str:
        return str(values.get(match["name"], samples.get(match["kind"] or "str", "x")))

    return "/" + _CONVERTER.sub(value, route)
