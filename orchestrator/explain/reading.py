"""Reading a stored decision whatever it is stored in, and numbers and times as people write them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django.utils import timezone
from django.utils.formats import date_format, number_format
from django.utils.translation import gettext as _

from tradingsite.foundation import numbers_text


def get(row: Any, name: str, default: Any = None) -> Any:
    """A column of a row or a key of a mapping."""
    value = row.get(name) if isinstance(row, Mapping) else getattr(row, name, None)
    return default if value is None else value


def inputs(row: Any, group: str) -> Mapping[str, Any]:
    """One group of the inputs; empty when it was not stored."""
    found = get(row, "inputs", {}).get(group)
    return found if isinstance(found, Mapping) else {}


def items(row: Any, name: str) -> Sequence[Mapping[str, Any]]:
    return [item for item in get(row, name, ()) if isinstance(item, Mapping)]


def hysteresis(row: Any, threshold: float) -> str:
    """Why volatility is compared with less than the threshold set; empty when it is compared with that one."""
    setting = number(inputs(row, "conditions").get("volatility_threshold"))
    if setting is None or not 0.0 < threshold < setting * 0.9999:
        return ""
    facts = {"setting": plain(setting, 2), "percent": percent(1 - threshold / setting)}
    return _("%(setting)s less %(percent)s, since it was above") % facts


def number(value: Any) -> float | None:
    """A finite number or None."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if is_number and math.isfinite(value) else None


def moment(value: Any) -> datetime | None:
    """An aware time from a column or from its ISO text; None when it is neither."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if not isinstance(value, datetime):
        return None
    return value if value.tzinfo is not None else value.replace(tzinfo=UTC)


def plain(value: float, decimals: int | None = None) -> str:
    """A number in the reader's notation; without `decimals`, about three significant digits."""
    if decimals is None:
        size = abs(value)
        decimals = 0 if size >= 100 or value == int(value) else 1 if size >= 10 else 2 if size >= 0.1 else 3
    # Rounded first: number_format cuts digits off.
    return number_format(Decimal(f"{value:.{decimals}f}"), decimal_pos=decimals).replace(
        "-", numbers_text.MINUS
    )


def exact(value: float) -> str:
    """A number with the digits it has, at most four significant ones."""
    digits = f"{value:.4g}"
    if "e" in digits:
        return digits
    return plain(value, len(digits.partition(".")[2]))


def pair(one: float, two: float) -> tuple[str, str]:
    """Two numbers side by side, with enough digits to tell them apart."""
    decimals = 2 if max(abs(one), abs(two)) >= 0.1 else 3
    while decimals < 6 and one != two and plain(one, decimals) == plain(two, decimals):
        decimals += 1
    return plain(one, decimals), plain(two, decimals)


def percent(ratio: float) -> str:
    return _("%(number)s %%") % {"number": plain(round(ratio * 100), 0)}


def duration(seconds: float) -> str:
    """45 s, 2 min, 3 h 30 min, 2 d: as everywhere else."""
    return numbers_text.duration(seconds) or ""


def clock_time(at: datetime, seen_from: datetime | None) -> str:
    """14:07 UTC; with the weekday on another day, with the date when further away than a week."""
    local = timezone.localtime(at)
    zone = local.tzname() or ""
    if seen_from is None:
        return f"{date_format(local, 'Y-m-d H:i')} {zone}"
    apart = abs((at - seen_from).total_seconds())
    if timezone.localtime(seen_from).date() == local.date():
        form = "H:i:s" if apart < 120 and local.second else "H:i"
    else:
        form = "D H:i" if apart < 6 * 86_400 else "Y-m-d H:i"
    return f"{date_format(local, form)} {zone}"
