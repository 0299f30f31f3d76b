"""Words of the alerts this app raises itself."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from .alerts import register_text

register_text(
    "audit-broken",
    _("The audit log was tampered with"),
    _("Row %(first_bad)s: %(problem)s. Keep a copy of the database and find out who had access."),
)
register_text(
    "notify-failed",
    _("Alerts do not arrive by %(subject)s"),
    _("%(lost)s messages were given up. %(error)s"),
)
