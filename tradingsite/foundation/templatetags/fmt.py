"""Filters that turn numbers and times into text. Missing values become a dash that says why."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from tradingsite.foundation import clock
from tradingsite.foundation import numbers_text as text

register = template.Library()


def missing(reason: str = "") -> SafeString:
    """A dash for the eye and a reason for everybody."""
    return format_html(
        '<span class="missing" title="{0}"><span aria-hidden="true">—</span><span class="vh">{0}</span></span>',
        reason or _("no data"),
    )


def _shown(value: str | None) -> str | SafeString:
    return missing() if value is None else value


@register.filter
def money(value: Any, currency: str = "") -> str:
    return _shown(text.money(value, str(currency or "")))


@register.filter
def money_signed(value: Any, currency: str = "") -> str:
    """Money with a sign and the colour of the sign; the sign itself carries the meaning."""
    return _toned(value, text.money(value, str(currency or ""), sign=True))


@register.filter
def price(value: Any, tick: Any = None) -> str:
    return _shown(text.price(value, tick))


@register.filter
def qty(value: Any, step: Any = None) -> str:
    return _shown(text.quantity(value, step))


@register.filter
def pct(value: Any, decimals: int = 2) -> str:
    return _shown(text.percent(value, int(decimals)))


@register.filter
def pct_signed(value: Any, decimals: int = 2) -> str:
    return _toned(value, text.percent(value, int(decimals), sign=True))


@register.filter
def signed(value: Any, decimals: int = 2) -> str:
    number = text.decimal_or_none(value)
    return _toned(value, None if number is None else text.grouped(number, int(decimals), sign=True))


@register.filter
def signed_plain(value: Any, decimals: int = 2) -> str:
    """With a sign, without a colour: for numbers where more is neither good nor bad."""
    found = text.decimal_or_none(value)
    return _shown(None if found is None else text.grouped(found, int(decimals), sign=True))


@register.filter
def number(value: Any, decimals: int = 2) -> str:
    found = text.decimal_or_none(value)
    return _shown(None if found is None else text.grouped(found, int(decimals)))


@register.filter
def count(value: Any) -> str:
    found = text.decimal_or_none(value)
    return _shown(None if found is None else text.grouped(found, 0))


@register.filter
def bps(value: Any) -> str:
    found = text.decimal_or_none(value)
    return _shown(None if found is None else f"{text.grouped(found, 1)}{text.NBSP}{_('bps')}")


@register.filter
def plain(value: Any) -> str:
    """For attributes that scripts read: no grouping, a point, never an exponent (1E-8 -> 0.00000001); empty when missing."""
    found = text.decimal_or_none(value)
    return "" if found is None else f"{found:f}"


@register.filter
def compact(value: Any) -> str:
    return _shown(text.compact(value))


@register.filter
def dur(value: Any) -> str:
    return _shown(text.duration(value))


def _toned(value: Any, shown: str | None) -> str | SafeString:
    if shown is None:
        return missing()
    found = text.decimal_or_none(value) or 0
    tone = "up" if found > 0 else "down" if found < 0 else "flat"
    return format_html('<span class="{}">{}</span>', tone, shown)


# --- Time ----------------------------------------------------------------------------------------------------


def iso(value: datetime) -> str:
    return value.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def local_text(value: datetime, *, seconds: bool = False, year: bool = True) -> str:
    """The time in the reader's zone: 25 Oct 2026 14:30 in English, 25/10/2026 14:30 in French."""
    local = timezone.localtime(value)
    clock_part = local.strftime("%H:%M:%S" if seconds else "%H:%M")
    if text.is_french():
        return f"{local.strftime('%d/%m/%Y' if year else '%d/%m')} {clock_part}"
    months = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
    day = f"{local.day} {months[local.month - 1]}"
    return f"{day} {local.year} {clock_part}" if year else f"{day} {clock_part}"


def _time_tag(value: datetime, shown: str, relative: str = "") -> SafeString:
    zone = timezone.localtime(value).tzname() or "UTC"
    return format_html(
        '<time datetime="{}" title="{} {}"{}>{}</time>',
        iso(value),
        local_text(value, seconds=True),
        zone,
        format_html(' data-rel="{}"', relative) if relative else "",
        shown,
    )


@register.filter
def when(value: datetime | None) -> str:
    """Date and time in the reader's zone."""
    return missing(_("never")) if value is None else _time_tag(value, local_text(value))


@register.filter
def when_short(value: datetime | None) -> str:
    """Time alone for today, date and time without the year otherwise."""
    if value is None:
        return missing(_("never"))
    local, today = timezone.localtime(value), timezone.localtime(clock.now())
    if local.date() == today.date():
        return _time_tag(value, local.strftime("%H:%M:%S"))
    return _time_tag(value, local_text(value, year=local.year != today.year))


@register.filter
def ago(value: datetime | None) -> str:
    """Relative within a day ("4 s ago"), absolute beyond. The browser keeps it moving."""
    if value is None:
        return missing(_("never"))
    seconds = (clock.now() - value).total_seconds()
    if seconds >= 86400 or seconds < -5:
        return when_short(value)
    shown = _("%(duration)s ago") % {"duration": text.duration(max(0, int(seconds)))}
    return _time_tag(value, shown, "ago")


@register.filter
def until(value: datetime | None) -> str:
    """Relative within a day ("in 2 min"), "due now" when it is past, absolute beyond."""
    if value is None:
        return missing(_("not planned"))
    seconds = (value - clock.now()).total_seconds()
    if seconds >= 86400:
        return when_short(value)
    due = _("due now")
    shown = due if seconds <= 0 else _("in %(duration)s") % {"duration": text.duration(int(seconds))}
    return _time_tag(value, shown, "until")
