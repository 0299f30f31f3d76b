"""Numbers as people type them: 1234.5, 1234,5, 1 234,5 and 1,234.5. What could mean two things is asked back."""

from __future__ import annotations

import re
from decimal import Decimal

from django.utils.translation import gettext as _

from tradingsite.foundation.errors import Invalid

_SPACES = re.compile(r"[\s\u00a0\u202f']")
_PLAIN = re.compile(r"[+-]?\d+(\.\d+)?")
_GROUPED_ENGLISH = re.compile(r"[+-]?\d{1,3}(,\d{3})+\.\d+")
_GROUPED_FRENCH = re.compile(r"[+-]?\d{1,3}(\.\d{3})+,\d+")
_MANY_GROUPS = re.compile(r"[+-]?\d{1,3}([.,])\d{3}(\1\d{3})+")
_COMMA = re.compile(r"[+-]?\d+,\d+")
_AMBIGUOUS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")


def parse(text: str) -> Decimal:
    """The number meant. Raises Invalid with code required, not-a-number or ambiguous."""
    plain = _SPACES.sub("", text).replace("\u2212", "-")
    if not plain:
        raise Invalid(_("Please enter a number."), code="required")
    if len(plain) > 40:
        raise Invalid(_("This number is too long."), code="not-a-number")
    if _PLAIN.fullmatch(plain):
        return Decimal(plain)
    if _AMBIGUOUS.fullmatch(plain):
        fraction, thousands = plain.replace(",", "."), plain.replace(",", "")
        raise Invalid(
            _("%(text)s could mean %(fraction)s or %(thousands)s. Please write one of the two.")
            % {"text": text, "fraction": fraction, "thousands": thousands},
            code="ambiguous",
        )
    if _GROUPED_ENGLISH.fullmatch(plain):
        return Decimal(plain.replace(",", ""))
    if _GROUPED_FRENCH.fullmatch(plain):
        return Decimal(plain.replace(".", "").replace(",", "."))
    if _MANY_GROUPS.fullmatch(plain):
        return Decimal(plain.replace(",", "").replace(".", ""))
    if _COMMA.fullmatch(plain):
        return Decimal(plain.replace(",", "."))
    raise Invalid(_("%(text)s is not a number.") % {"text": text[:40]}, code="not-a-number")
