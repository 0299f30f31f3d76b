"""`manage.py check_invariants`: what must hold whatever happened."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from tradingsite.foundation import clock, invariants
from tradingsite.foundation.commands import JsonCommand
from tradingsite.foundation.errors import Invalid


class Command(JsonCommand):
    help = "Check the invariants of ledger, orders, runs and audit log. Exit code 3 when one is broken."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("codes", nargs="*", help="only these, such as I1 I9; default: all")

    def run(self, options: dict[str, Any]) -> int:
        known = invariants.codes()
        for code in options["codes"]:
            if code not in known:
                raise Invalid(f"{code!r} is no invariant; known are {', '.join(known)}.")
        results = invariants.run(clock.now(), tuple(options["codes"]))
        document = {
            "ok": all(result.ok for result in results),
            "invariants": {
                r.code: {"ok": r.ok, "title": r.title, "violations": list(r.violations)} for r in results
            },
        }
        lines = [f"{'ok    ' if r.ok else 'BROKEN'} {r.code:4} {r.title}" for r in results]
        lines += [f"       {violation}" for r in results for violation in r.violations]
        self.emit(document, text="\n".join(lines))
        return 0 if document["ok"] else 3
