"""API tokens from the command line: manage.py api_token create --user alice --name robot --scopes read,operate."""

from __future__ import annotations

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from tradingsite.foundation import clock, selectors, tokens
from tradingsite.foundation.commands import EXIT_OK, JsonCommand, table
from tradingsite.foundation.errors import Invalid


class Command(JsonCommand):
    help = (
        "create: issue a token; the secret is printed once and kept nowhere. list: tokens without their secrets. "
        "revoke ID: end one at once. Example: manage.py api_token create --user alice --name robot --scopes read,operate"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("action", choices=("create", "list", "revoke"))
        parser.add_argument("id", nargs="?", type=int, help="of the token to revoke")
        parser.add_argument("--user", default="", help="whose token; list: only theirs")
        parser.add_argument("--name", default="", help="what it is for")
        parser.add_argument(
            "--scopes", default="read", help=f"comma-separated: {', '.join(tokens.SCOPES)} (default read)"
        )
        parser.add_argument("--days", type=int, help="valid for so many days (default: until revoked)")

    def run(self, options: dict[str, Any]) -> int:
        return {"create": self._create, "list": self._list, "revoke": self._revoke}[options["action"]](
            options
        )

    def _create(self, options: dict[str, Any]) -> int:
        now = clock.now()
        if not options["user"]:
            raise Invalid("Say whose token it is: --user NAME.")
        if options["days"] is not None and not 1 <= options["days"] <= 3650:
            raise Invalid(f"--days must be between 1 and 3650, was {options['days']}.")
        issued = tokens.issue(
            user=selectors.user_named(options["user"]),
            name=options["name"],
            scopes=[scope.strip() for scope in options["scopes"].split(",") if scope.strip()],
            actor=self.actor(),
            now=now,
            expires_at=now + timedelta(days=options["days"]) if options["days"] is not None else None,
        )
        row = selectors.token_row(issued.token, now)
        self.note("This is the only time the token is shown; use it as: Authorization: Token ...")
        self.emit({"ok": True, "token": issued.clear, **_document(row)}, text=issued.clear)
        return EXIT_OK

    def _list(self, options: dict[str, Any]) -> int:
        now = clock.now()
        owner = selectors.user_named(options["user"]) if options["user"] else None
        rows = [_document(selectors.token_row(row, now)) for row in selectors.tokens_of(owner)]
        headers = ("id", "owner", "name", "scopes", "state", "expires_at", "last_used_at")
        text = table(headers, [[row[name] for name in headers] for row in rows]) if rows else "No token."
        self.emit({"ok": True, "tokens": rows}, text=text)
        return EXIT_OK

    def _revoke(self, options: dict[str, Any]) -> int:
        if options["id"] is None:
            raise Invalid("Say which token: api_token revoke ID.")
        now = clock.now()
        row = tokens.revoke(options["id"], actor=self.actor(), now=now)
        self.emit(
            {"ok": True, **_document(selectors.token_row(row, now))}, text=f"Token {row.pk} is revoked."
        )
        return EXIT_OK


def _document(row: selectors.TokenRow) -> dict[str, Any]:
    return {
        "id": row.id, "owner": row.owner, "name": row.name, "scopes": " ".join(row.scopes), "state": row.state,
        "created_at": row.created_at, "expires_at": row.expires_at, "last_used_at": row.last_used_at,
    }  # fmt: skip
