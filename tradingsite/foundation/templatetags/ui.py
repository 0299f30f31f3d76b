"""Tags that draw the small parts every page uses: icons, state marks, sparklines, sort links."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import median
from typing import Any

from django import template
from django.http import QueryDict
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from tradingsite.foundation import icons, numbers_text, states_text

register = template.Library()


@register.simple_tag
def icon(name: str, size: int = 16) -> SafeString:
    """A decorative icon; the text next to it carries the meaning."""
    return _icon(name, size)


@lru_cache(maxsize=512)
def _icon(name: str, size: int) -> SafeString:
    kind = "icon icon-fill" if name in icons.FILLED else "icon"
    return format_html(
        '<svg class="{}" width="{}" height="{}" viewBox="0 0 16 16" aria-hidden="true" focusable="false">'
        '<path d="{}"/></svg>',
        kind,
        size,
        size,
        icons.PATHS[name],
    )


@register.simple_tag
def state(kind: str, value: Any) -> SafeString:
    """A state as shape, word and tone: {% state "run" run.status %}."""
    return _state(kind, str(value), get_language() or "")


@lru_cache(maxsize=512)
def _state(kind: str, value: str, language: str) -> SafeString:
    """Drawn once per language: a list shows the same few states on every row."""
    found = states_text.find(kind, value)
    return format_html(
        '<span class="state tone-{}">{}<span>{}</span></span>', found.tone, icon(found.icon, 12), found.word
    )


@register.filter
def under(status: str, is_held: bool) -> str:
    """A workflow's state while the switch holds everything: {% state "workflow" row.status|under:frame.holds %}."""
    return "held" if status == "active" and is_held else status


@register.simple_tag
def state_word(kind: str, value: Any) -> str:
    return str(states_text.find(kind, value).word)


@register.simple_tag
def state_tone(kind: str, value: Any) -> str:
    return states_text.find(kind, value).tone


@register.simple_tag
def spark(
    values: Sequence[float] | None, label: str = "", width: int = 96, height: int = 24
) -> SafeString | str:
    """A line without axes. Nothing for fewer than two points: a flat guess would be a lie."""
    points = [float(value) for value in values or () if value is not None and value == value]
    if len(points) < 2:
        return ""
    low, high = min(points), max(points)
    span = (high - low) or 1.0
    step = (width - 2) / (len(points) - 1)
    path = " ".join(
        f"{1 + index * step:.1f},{1 + (height - 2) * (1 - (value - low) / span):.1f}"
        for index, value in enumerate(points)
    )
    tone = "up" if points[-1] > points[0] else "down" if points[-1] < points[0] else "flat"
    return format_html(
        '<svg class="spark spark-{}" width="{}" height="{}" viewBox="0 0 {} {}" role="img" aria-label="{}">'
        '<polyline points="{}"/></svg>',
        tone,
        width,
        height,
        width,
        height,
        label,
        path,
    )


@dataclass(frozen=True, slots=True)
class StripBar:
    """One run in the strip. Text, so that no language turns a number into something a drawing cannot read."""

    x: str
    y: str
    width: str
    height: str
    tone: str
    title: str


@dataclass(frozen=True, slots=True)
class Strip:
    bars: tuple[StripBar, ...]
    median: str
    width: str
    label: str


_STRIP_TONES = {"ok": "ok", "bad": "bad", "busy": "busy"}


@register.simple_tag
def run_strip(runs: Sequence[Any]) -> Strip:
    """Runs as bars, oldest first: height is duration, colour is result; the label says it in words."""
    durations = [run.duration_s for run in runs if run.duration_s is not None]
    top = max(durations, default=0.0) or 1.0
    bars = []
    for index, run in enumerate(runs):
        found = states_text.find("run", run.status)
        height = 4 + 38 * (run.duration_s or 0.0) / top
        title = f"#{run.pk} {found.word} {numbers_text.duration(run.duration_s) or ''}"
        tone = _STRIP_TONES.get(found.tone, "quiet")
        bars.append(StripBar(str(index * 10), f"{44 - height:.1f}", "8", f"{height:.1f}", tone, title))
    middle = median(durations) if durations else None
    label = _(
        "Last %(count)s runs, oldest left; height is duration, median %(median)s, %(failed)s failed."
    ) % {
        "count": len(runs),
        "median": numbers_text.duration(middle) or "–",
        "failed": sum(states_text.find("run", run.status).tone == "bad" for run in runs),
    }
    line = "" if middle is None else f"{44 - 4 - 38 * middle / top:.1f}"
    return Strip(tuple(bars), line, str(max(200, len(runs) * 10)), label)


@register.simple_tag(takes_context=True)
def with_query(context: dict[str, Any], **changes: Any) -> str:
    """The current query string with changes; None removes a key. Always starts with "?"."""
    request = context.get("request")
    query: QueryDict = request.GET.copy() if request is not None else QueryDict(mutable=True)
    query.pop("v", None)
    for key, value in changes.items():
        if value is None or value == "":
            query.pop(key, None)
        else:
            query[key] = str(value)
    return f"?{query.urlencode()}"


@register.filter
def lookup(mapping: dict[Any, Any], key: Any) -> Any:
    return mapping.get(key)
