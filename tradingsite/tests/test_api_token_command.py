"""manage.py api_token: issue, list, revoke."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from tradingsite.foundation.models import ApiToken, AuditEvent

pytestmark = pytest.mark.django_db


def run(capsys: Any, *arguments: str) -> tuple[int, dict[str, Any]]:
    code = 0
    try:
        call_command("api_token", *arguments, "--json")
    except SystemExit as stop:
        code = int(stop.code or 0)
    return code, json.loads(capsys.readouterr().out)


def test_a_token_from_the_command_line_opens_the_api_until_it_is_revoked(
    bob: Any, client: Client, capsys: Any
) -> None:
    code, made = run(
        capsys, "create", "--user", "bob", "--name", "robot", "--scopes", "read,operate", "--days", "7"
    )
    assert code == 0 and made["scopes"] == "operate read" and made["expires_at"]
    headers = {"Authorization": f"Token {made['token']}"}
    assert client.get("/api/workflows/", headers=headers).status_code == 200
    assert client.get("/api/audit/", headers=headers).status_code == 403
    code, listed = run(capsys, "list", "--user", "bob")
    assert [row["name"] for row in listed["tokens"]] == ["robot"] and made["token"] not in json.dumps(listed)
    code, revoked = run(capsys, "revoke", str(made["id"]))
    assert code == 0 and revoked["state"] == "revoked"
    assert client.get("/api/workflows/", headers=headers).status_code == 401
    assert set(AuditEvent.objects.filter(actor_kind="cli").values_list("action", flat=True)) == {
        "token.issue", "token.revoke",
    }  # fmt: skip


def test_the_secret_is_alone_on_standard_output(bob: Any, capsys: Any) -> None:
    call_command("api_token", "create", "--user", "bob", "--name", "robot")
    assert capsys.readouterr().out.strip().startswith("tsk_")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("create", "--user", "nobody", "--name", "x"), 4),
        (("create", "--name", "x"), 2),
        (("create", "--user", "bob"), 2),
        (("create", "--user", "bob", "--name", "x", "--scopes", "everything"), 2),
        (("create", "--user", "bob", "--name", "x", "--days", "0"), 2),
        (("revoke",), 2),
        (("revoke", "9999"), 4),
        (("list", "--user", "nobody"), 4),
    ],
)
def test_what_cannot_be_done_has_its_exit_code(
    arguments: tuple[str, ...], expected: int, bob: Any, capsys: Any
) -> None:
    code, document = run(capsys, *arguments)
    assert code == expected and document["ok"] is False and not ApiToken.objects.exists()
