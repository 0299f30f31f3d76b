"""Compare stored positions with the fills they must follow from; `--write` rewrites those that differ."""

from __future__ import annotations

from django.core.management.base import BaseCommand
from django.utils.translation import gettext as _

from assets.trading.services import rebuild
from tradingsite.foundation import audit, clock


class Command(BaseCommand):
    help = "Compare positions with their fills. Exit code 1 when one differs and --write is not given."

    def add_arguments(self, parser):
        parser.add_argument("--write", action="store_true", help="rewrite differing positions (audited)")

    def handle(self, *args, **options):
        differences = rebuild.compare()
        for item in differences:
            self.stdout.write(
                f"{item.symbol}: {item.stored.quantity} != {item.derived.quantity}, "
                f"{item.stored.cost} != {item.derived.cost}"
            )
        if not differences:
            self.stdout.write(_("All positions follow from their fills."))
        elif options["write"]:
            count = rebuild.repair(actor=audit.cli("rebuild_positions"), now=clock.now())
            self.stdout.write(_("%(count)s positions rewritten.") % {"count": count})
        else:
            raise SystemExit(1)
