"""Stored JSON as people read it: names and codes in the reader's language, numbers and times in the reader's notation.

Apps register the words of what they store; whatever has none is shown as it is, with spaces for underscores.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from . import numbers_text
from .templatetags.fmt import local_text

NOTHING: Final = "–"
_INLINE: Final = 4  # an object with at most so many plain values is told in one line
_MOST: Final = 60
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d")
_NUMBER: Final = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
_SIGNIFICANT: Final = 4

_names: dict[str, Any] = {}
_words: dict[str, Any] = {}
_renderers: dict[str, Callable[[Mapping[str, Any]], str]] = {}


@dataclass(frozen=True, slots=True)
class Fact:
    """A name and its value; what has many parts has them in `inner`, and `text` says how many."""

    name: str
    text: str
    inner: tuple[Fact, ...] = ()


def register(*, names: Mapping[str, Any] | None = None, words: Mapping[str, Any] | None = None) -> None:
    """Add what keys (`names`) and texts (`words`) are called; translated when shown. The first one stays."""
    for known, added in ((_names, names), (_words, words)):
        for key, text in (added or {}).items():
            known.setdefault(key, text)


def register_sentence(key: str, sentence: Callable[[Mapping[str, Any]], str]) -> None:
    """Objects in a list under `key` are told by `sentence`."""
    _renderers[key] = sentence


def name(key: str) -> str:
    """What a key is called."""
    found = _names.get(key, _words.get(key))
    if found is not None:
        return str(found)
    return key.removesuffix("_s").replace("_", " ") if key.endswith("_s") else key.replace("_", " ")


def word(code: str) -> str:
    """What a registered code is called; anything else as it is."""
    return str(_words.get(code, code))


def facts(values: Any) -> tuple[Fact, ...]:
    """The entries of an object; () when it is none."""
    if not isinstance(values, Mapping):
        return ()
    shown = tuple(_fact(str(key), value) for key, value in list(values.items())[:_MOST])
    return (*shown, *_rest(len(values)))


def pairs(values: Any) -> tuple[tuple[str, str], ...]:
    """The entries of an object as (name, text), each in one line."""
    if not isinstance(values, Mapping):
        return ()
    return tuple((name(str(key)), text(str(key), value)) for key, value in list(values.items())[:_MOST])


def text(key: str, value: Any) -> str:
    """A value in one line. `key` decides what a number is: those of `..._s` are seconds."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name(str(k))} {text(str(k), item)}" for k, item in value.items()) or NOTHING
    if isinstance(value, (list, tuple)):
        return ", ".join(_line(key, item) for item in value) or NOTHING
    if value is None or value == "":
        return NOTHING
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, (int, float)):
        return _number(key, value)
    return _text(key, str(value))


def _fact(key: str, value: Any) -> Fact:
    if isinstance(value, Mapping) and not _is_short(value):
        inner = facts(value)
        return Fact(name(key), _entries(len(value)), inner)
    if isinstance(value, (list, tuple)) and any(isinstance(item, Mapping) for item in value):
        lines = tuple(Fact(f"{place}.", _line(key, item)) for place, item in enumerate(value[:_MOST], 1))
        return Fact(name(key), _entries(len(value)), (*lines, *_rest(len(value))))
    return Fact(name(key), text(key, value))


def _is_short(value: Mapping[str, Any]) -> bool:
    return len(value) <= _INLINE and not any(
        isinstance(item, (Mapping, list, tuple)) for item in value.values()
    )


def _entries(count: int) -> str:
    return ngettext("%(n)s entry", "%(n)s entries", count) % {"n": count}


def _rest(count: int) -> tuple[Fact, ...]:
    return (Fact("…", _("and %(n)s more") % {"n": count - _MOST}),) if count > _MOST else ()


def _line(key: str, item: Any) -> str:
    if isinstance(item, Mapping) and key in _renderers:
        return _renderers[key](item)
    return text(key, item)


def _number(key: str, value: float) -> str:
    found = numbers_text.decimal_or_none(value)
    if found is None:
        return NOTHING
    if key.endswith("_s"):
        return numbers_text.duration(found) or NOTHING
    if found == found.to_integral_value():
        return numbers_text.grouped(found, 0)
    return numbers_text.grouped(found, numbers_text.adaptive_decimals(found, _SIGNIFICANT))


def _text(key: str, value: str) -> str:
    if _TIME.match(value):
        try:
            at = datetime.fromisoformat(value)
        except ValueError:
            return value
        return local_text(at if at.tzinfo else at.replace(tzinfo=UTC), seconds=True)
    if _NUMBER.fullmatch(value):
        return numbers_text.quantity(value) or value
    found = _words.get(value)
    if found is not None:
        return str(found)
    return value.replace("_", " ") if value.islower() and value.replace("_", "").isalpha() else value
