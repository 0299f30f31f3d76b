"""`manage.py workflow list|show|run|pause|resume|edit`: look at workflows and change them."""

from __future__ import annotations

import json
from argparse import SUPPRESS, ArgumentParser
from typing import Any

from orchestrator.selectors import cli
from orchestrator.services import workflows
from tradingsite.foundation import clock
from tradingsite.foundation.commands import EXIT_OK, JsonCommand, table
from tradingsite.foundation.errors import Invalid

_NAME = "its slug or number, as in `workflow list`"
_INTERVALS = ("min_interval_s", "base_interval_s", "max_interval_s")


class Command(JsonCommand):
    help = "Examples: workflow list --status paused; workflow show NAME; workflow edit NAME --base 300 --param size=5"

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        listing = actions.add_parser("list", help="all workflows")
        listing.add_argument(
            "--status", default="", choices=("draft", "active", "paused", "halted", "archived")
        )
        listing.add_argument("--asset-type", default="")
        actions.add_parser("show", help="one workflow with its last runs").add_argument("slug", help=_NAME)
        for name, text in (
            ("run", "ask for a run as soon as the gates allow it"),
            ("pause", "plan no further run"),
            ("resume", "work again; past failures are forgotten"),
        ):
            action = actions.add_parser(name, help=text)
            action.add_argument("slug", help=_NAME)
            action.add_argument("--reason", default="")
        self._add_edit(actions.add_parser("edit", help="change name, intervals or parameters"))
        for action in actions.choices.values():
            action.add_argument(
                "--json",
                action="store_true",
                dest="as_json",
                default=SUPPRESS,
                help="print one JSON document",
            )

    def _add_edit(self, edit: ArgumentParser) -> None:
        edit.add_argument("slug", help=_NAME)
        edit.add_argument("--name")
        edit.add_argument("--min", type=int, dest="min_interval_s", help="seconds")
        edit.add_argument("--base", type=int, dest="base_interval_s", help="seconds")
        edit.add_argument("--max", type=int, dest="max_interval_s", help="seconds")
        edit.add_argument(
            "--param",
            action="append",
            default=[],
            metavar="NAME=VALUE",
            help="value as JSON; may be repeated",
        )
        edit.add_argument("--expect-version", type=int, help="refuse when somebody else has changed it since")
        edit.add_argument("--reason", default="")

    def run(self, options: dict[str, Any]) -> int:
        if options["action"] == "list":
            return self._list(options)
        options["slug"] = cli.slug_of(options["slug"])
        if options["action"] == "show":
            return self._show(options["slug"])
        row = workflows.by_slug(options["slug"])
        actor, now = self.actor(), clock.now()
        if options["action"] == "run":
            workflows.request_run(row.pk, actor, now)
        elif options["action"] == "pause":
            workflows.pause(row.pk, actor, now, options["reason"])
        elif options["action"] == "resume":
            workflows.resume(row.pk, actor, now, options["reason"])
        else:
            workflows.edit(
                row.pk, version=options["expect_version"] or row.version, actor=actor, now=now, name=options["name"],
                params=_params(options["param"]), reason=options["reason"], **{key: options[key] for key in _INTERVALS},
            )  # fmt: skip
        return self._show(options["slug"])

    def _list(self, options: dict[str, Any]) -> int:
        rows = cli.workflows(options["status"], options["asset_type"])
        shown = [
            (
                row["id"],
                row["slug"],
                row["asset_type"] or "-",
                row["status"],
                row["interval_s"] and round(row["interval_s"]),
                row["next_run_at"] and row["next_run_at"].isoformat(timespec="seconds"),
                row["last_result"] or "-",
            )
            for row in rows
        ]
        text = table(("ID", "SLUG", "ASSET TYPE", "STATUS", "INTERVAL S", "NEXT RUN", "LAST RESULT"), shown)
        self.emit({"ok": True, "workflows": rows}, text=text)
        return EXIT_OK

    def _show(self, slug: str) -> int:
        document = cli.workflow(slug, clock.now())
        lines = [
            f"{key:22}{value}"
            for key, value in document.items()
            if key not in ("runs", "params", "performance_7d")
        ]
        lines += [f"param {name:16}{value}" for name, value in document["params"].items()]
        if document["runs"]:
            rows = [
                (r["id"], r["slot_at"], r["status"], r["cause"], r["error"] or r["skipped"])
                for r in document["runs"]
            ]
            lines += ["", table(("RUN", "SLOT", "STATUS", "CAUSE", "WHY"), rows)]
        self.emit({"ok": True, **document}, text="\n".join(lines))
        return EXIT_OK


def _params(given: list[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for item in given:
        name, sign, text = item.partition("=")
        if not sign or not name:
            raise Invalid(f"--param must be NAME=VALUE, was {item!r}.")
        try:
            values[name] = json.loads(text)
        except ValueError:
            values[name] = text  # a bare word is a string
    return values
