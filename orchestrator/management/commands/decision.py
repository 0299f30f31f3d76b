"""`manage.py decision explain <id> | --latest <workflow>`: why the engine decided as it did."""

from __future__ import annotations

from argparse import SUPPRESS, ArgumentParser
from typing import Any

from orchestrator import explain
from orchestrator.selectors import cli
from tradingsite.foundation.commands import EXIT_OK, JsonCommand, table
from tradingsite.foundation.errors import Invalid


class Command(JsonCommand):
    help = "Examples: decision explain 4711; decision explain --latest NAME --json"

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        action = actions.add_parser("explain", help="why it was decided so")
        action.add_argument("id", type=int, nargs="?", help="number of the decision")
        action.add_argument(
            "--latest", metavar="WORKFLOW", default="", help="the newest decision of this workflow"
        )
        action.add_argument(
            "--json", action="store_true", dest="as_json", default=SUPPRESS, help="print one JSON document"
        )

    def run(self, options: dict[str, Any]) -> int:
        if (options["id"] is None) == (not options["latest"]):
            raise Invalid("Give either the number of a decision or --latest and the name of a workflow.")
        row = (
            cli.decision(options["id"])
            if options["id"] is not None
            else cli.latest_decision(options["latest"])
        )
        factors, gates, others = explain.factors(row), explain.gates(row), explain.counterfactuals(row)
        document = {
            "ok": True, "id": row.pk, "workflow": row.workflow.slug, "decided_at": row.decided_at,
            "last_seen_at": row.last_seen_at, "fold_count": row.fold_count, "action": row.action, "cause": row.cause,
            "interval_before_s": row.interval_before_s, "interval_after_s": row.interval_after_s,
            "next_run_at": row.next_run_at, "priority": row.priority, "inputs_as_of": row.inputs_as_of,
            "rule_version": row.rule_version, "explanation": explain.sentence(row), "factors": factors, "gates": gates,
            "counterfactuals": others, "inputs": row.inputs,
        }  # fmt: skip
        self.emit(document, text=_text(explain.sentence(row), factors, gates, others))
        return EXIT_OK


def _text(sentence: str, factors: list[Any], gates: list[Any], others: list[Any]) -> str:
    lines = [sentence]
    lines += [f"Held by: {gate.text}" for gate in gates]
    if factors:
        rows = [(f.label, f.value_text, f"{f.contribution:+.3f}", f.effect_text) for f in factors]
        lines += ["", table(("FACTOR", "VALUE", "LOG S", "EFFECT"), rows)]
    if others:
        lines += ["", "What would have changed it:", *(f"- {item.text}" for item in others)]
    return "\n".join(lines)
