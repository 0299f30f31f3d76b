"""What to do about an alert, by its code; the longest beginning that fits. Words for messages and the alert's page."""

from __future__ import annotations

from typing import Any, Final

from django.utils.translation import gettext_lazy as _

_ADVICE: Final[dict[str, Any]] = {
    "": _("Open the alert, look at what it names, and acknowledge it once you have seen it."),
    "audit": _("Keep a copy of the database, change the passwords, and find out who had access."),
    "books-differ": _(
        "Open the account, compare with the venue's own page, and settle the differences by hand."
    ),
    "notify-failed": _("Open Settings, Notifications and send a test: it shows the exact error."),
    "health-account-halted": _("Open Risk: activate the account when the reason is understood."),
    "health-clock": _("Check the time synchronisation of the machine."),
    "health-code": _("Restart all processes so that they run the same version."),
    "health-database": _("Look at the load and the disk of the database's machine."),
    "health-disk": _("Free disk space soon: when there is none, trading stops."),
    "health-feed": _(
        "Look at the feed's log; while prices are old nothing new is bought. Restart it if need be."
    ),
    "health-flapping": _("Healing has stopped. Open Health, look at the log, and restart that part by hand."),
    "health-ledger": _("Stop trading and run: manage.py check_invariants"),
    "health-loop": _("Restart the system; without the loop nothing is decided."),
    "health-memory": _("Give the machine more memory, or run fewer workers."),
    "health-orders": _("Open Orders and compare with the venue's own page."),
    "health-queue": _("Open Health: more workers, or fewer workflows."),
    "health-workers": _(
        "Open Health and the log; if the workers do not come back by themselves, restart the system."
    ),
    "health-workflow": _("Open the workflow and its last runs: the error is there."),
    "live-": _("Open the account: switch it to live again if you want that."),
    "not-reconciled": _("Check the connection and the keys of the account; new entries wait meanwhile."),
    "order": _("Open the order and compare with the venue's own page before you trade that instrument."),
    "run-": _("Open the run: if it keeps happening, look at the log of the workers."),
    "stop-level-passed": _("Open the position and decide whether to close it by hand."),
    "trade-id": _("Open the account's fills and compare with the venue's own page."),
    "workflow": _("Open the workflow and its last runs: the error is there. Resume it when that is mended."),
}


def for_code(code: str) -> str:
    """A sentence or two in the active language."""
    fitting = [beginning for beginning in _ADVICE if code.startswith(beginning)]
    return str(_ADVICE[max(fitting, key=len)])
