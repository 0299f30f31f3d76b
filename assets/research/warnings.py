"""Warnings a strategy gives without trading: a holding far below what it cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from django.utils.translation import gettext_lazy as _

from tradingsite.foundation import alerts

CODE = "position-below-cost"

alerts.register_text(
    CODE,
    _("%(subject)s is far below its cost"),
    _("%(subject)s is worth %(loss_percent)s %% less than it cost; the limit of this warning is %(limit_percent)s %%. "
      "Nothing was sold. Check whether you still want to hold it."),
)  # fmt: skip


def below_cost(
    found: Mapping[str, float], *, held: Iterable[str], limit: float, slug: str, now: datetime
) -> None:
    """Raise one alert per symbol in `found` (ratio below 0), and resolve those of `held` that have recovered."""
    for symbol in held:
        key = f"{CODE}:{slug}:{symbol}"
        if symbol in found:
            alerts.raise_alert(
                key=key, code=CODE, severity="warning", subject=symbol, now=now,
                params={"loss_percent": f"{-found[symbol] * 100:.0f}", "limit_percent": f"{limit * 100:.0f}"},
            )  # fmt: skip
        else:
            alerts.resolve_alert(key, now)
