"""System checks of the site as a whole: things that must never be configured otherwise."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register


@register(Tags.compatibility)
def time_is_aware_utc(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """All stored time is aware UTC; anything else would shift sessions and candles."""
    if settings.USE_TZ and settings.TIME_ZONE == "UTC":
        return []
    return [Error("USE_TZ must be True and TIME_ZONE must be UTC.", id="tradingsite.E001")]


@register(Tags.compatibility)
def queue_never_repeats_by_itself(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """The queue must not repeat a failed task: a repeated order is real money."""
    found: list[CheckMessage] = []
    q = settings.Q_CLUSTER
    required = {
        "max_attempts": 1,
        "ack_failures": True,
        "catch_up": False,
        "scheduler": False,
        "queue_limit": 1,
    }
    for name, value in required.items():
        if q.get(name) != value:
            found.append(Error(f"Q_CLUSTER[{name!r}] must be {value!r}.", id="tradingsite.E002"))
    for lane in ({}, *q.get("ALT_CLUSTERS", {}).values()):
        merged = {**q, **lane}
        # A message is locked from when it is fetched, so waiting behind another task counts too.
        needed = merged["timeout"] * (2 + 2 / merged["workers"])
        if merged["retry"] <= needed:
            found.append(Error(f"Q_CLUSTER retry must be above {needed:.0f} s.", id="tradingsite.E003"))
    return found


@register(Tags.database)
def sqlite_is_durable(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """SQLite without WAL and IMMEDIATE fails one contended write in six."""
    default = settings.DATABASES["default"]
    if "sqlite" not in default["ENGINE"]:
        return []
    options = default.get("OPTIONS", {})
    if options.get("transaction_mode") == "IMMEDIATE" and "journal_mode=WAL" in options.get(
        "init_command", ""
    ):
        return []
    return [Error("SQLite needs transaction_mode IMMEDIATE and journal_mode=WAL.", id="tradingsite.E004")]
