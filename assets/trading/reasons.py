"""Sentences for the reasons of targets. Asset types register the texts of their codes; text is built when shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.functional import Promise

from tradingsite.foundation import numbers_text

_texts: dict[str, str | Promise] = {}


def register(texts: Mapping[str, str | Promise]) -> None:
    """Add texts by code. Places: `%(value)s`, the reason's params by name, and each of them with `_percent`.

    Raises ValueError when a code has another text already: two strategies must not mean different things by one word.
    """
    for code, text in texts.items():
        known = _texts.get(code)
        if known is not None and known != text:
            raise ValueError(f"The reason {code!r} has two texts.")
        _texts[code] = text


def sentence(reason: Mapping[str, Any]) -> str:
    """A stored reason ({code, value, params}) as a sentence in the language in force; the bare code when unknown."""
    code = str(reason.get("code", ""))
    text = _texts.get(code)
    if text is None:
        return code.replace("_", " ")
    values = {"value": reason.get("value"), **(reason.get("params") or {})}
    places = {name: _number(value) for name, value in values.items()}
    places |= {f"{name}_percent": _percent(value) for name, value in values.items()}
    try:
        return str(text) % places
    except (KeyError, ValueError):
        # A reason stored by an older version may lack a place; its code still says what happened.
        return code.replace("_", " ")


def _number(value: Any) -> str:
    if value is None:
        return "?"
    number = numbers_text.decimal_or_none(value)
    if number is None:
        return str(value)
    if number == number.to_integral_value():
        return numbers_text.grouped(number, 0)
    return numbers_text.grouped(number, max(0, min(numbers_text.adaptive_decimals(number, 4), 8)))


def _percent(value: Any) -> str:
    number = numbers_text.decimal_or_none(value)
    if number is None or not isinstance(value, int | float):
        return "?"
    share = number * 100
    whole = share == share.to_integral_value()
    return numbers_text.grouped(share, 0 if whole else max(0, min(6, 2 - share.adjusted())))
