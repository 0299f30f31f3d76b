"""What stands in the address and means nothing is refused: a filter that is silently ignored shows the wrong rows."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from orchestrator.models import Workflow
from tradingsite.tests import api_world

pytestmark = pytest.mark.django_db


@pytest.fixture
def page(alice: Any, client: Client) -> Client:
    client.force_login(alice)
    return client


@pytest.mark.parametrize(
    "path",
    [
        "/trading/orders/?state=zzz", "/trading/orders/?scope=zzz", "/decisions/?from=zz", "/decisions/?skips=zz",
        "/trading/trades/?x=1", "/runs/?x=1", "/alerts/?x=1", "/audit/?x=1", "/?x=1",
    ],
)  # fmt: skip
def test_an_unknown_filter_is_a_400_that_names_it(page: Client, path: str) -> None:
    answer = page.get(path)
    name = path.partition("?")[2].partition("=")[0]
    assert answer.status_code == 400
    assert name in answer.content.decode() or "zz" in answer.content.decode()


@pytest.mark.parametrize(
    "path", ["/trading/orders/?scope=done&page=1", "/decisions/?range=day&skips=all", "/?range=1d"]
)
def test_known_filters_work(page: Client, path: str) -> None:
    assert page.get(path).status_code == 200


def test_bounds_are_told_together_with_what_cannot_be_read(page: Client, at: Any) -> None:
    api_world.build(at)
    row = Workflow.objects.get(slug="forex")
    form = {
        "version": row.version, "name": "", "min_interval_s": "0,0001", "base_interval_s": "99999999",
        "max_interval_s": "x",
    }  # fmt: skip
    answer = page.post(f"/workflows/{row.pk}/edit/", form)
    html = answer.content.decode()
    assert answer.status_code == 422
    for field in ("name", "min_interval_s", "base_interval_s", "max_interval_s"):
        assert f'href="#f-{field}"' in html, field
