"""What the API tests share."""

from __future__ import annotations

import json
from typing import Any

from django.test import Client

from tradingsite.foundation.testkit import token_for

JSON = "application/json"


def machine(user: Any, *scopes: str) -> Client:
    return Client(
        raise_request_exception=False, headers={"Authorization": f"Token {token_for(user, *scopes)}"}
    )


def problem(response: Any, status: int, code: str) -> dict[str, Any]:
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/problem+json"
    body: dict[str, Any] = json.loads(response.content)
    assert {"type", "title", "status", "detail", "instance", "code", "request_id"} <= set(body)
    assert (body["status"], body["code"], body["type"]) == (status, code, f"/problems/{code}")
    assert body["request_id"] == response["X-Request-ID"]
    assert response["API-Version"] == "1" and response["Cache-Control"] == "private, no-cache"
    return body


def post_order(client: Client, key: str | None, **body: Any) -> Any:
    return client.post(
        "/api/orderlike/", body, content_type=JSON, headers={"Idempotency-Key": key} if key else {}
    )
