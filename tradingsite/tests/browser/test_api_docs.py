"""The page that describes the API: it works under the strict policy and asks nobody but us."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.timeout(900)


def test_the_docs_page_shows_every_resource_without_another_server(
    site: Any, open_page: Callable[..., Any]
) -> None:
    watched = open_page(site)
    watched.login("alice")
    watched.go("/api/docs/")
    watched.page.wait_for_selector(".opblock-summary-path", timeout=60_000)
    shown = {
        text.replace("\u200b", "").strip()
        for text in watched.page.locator(".opblock-summary-path").all_inner_texts()
    }
    assert {"/api/orchestrator/status/", "/api/workflows/{id}/", "/api/candles/", "/healthz/"} <= shown
    assert len(shown) >= 33
    assert watched.foreign == []
    assert watched.errors == []
    assert watched.violations() == []
