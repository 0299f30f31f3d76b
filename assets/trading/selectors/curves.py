"""Equity over time, for drawing: which accounts are added up, in which currency, and their points."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from assets.markets.selectors.pages import is_demo_feed
from assets.trading.models import Account, EquityPoint

RANGES: Final = {
    "1d": timedelta(days=1),
    "1w": timedelta(days=7),
    "1m": timedelta(days=30),
    "3m": timedelta(days=91),
    "all": None,
}
_MOST_POINTS: Final = 400


@dataclass(frozen=True, slots=True)
class Curve:
    """Equity over time, thinned to a readable number of points; the newest is always kept."""

    currency: str
    accounts: tuple[str, ...]
    at: tuple[datetime, ...]
    equity: tuple[Decimal, ...]


def drawn(asset_type: str = "") -> tuple[str, dict[int, str]]:
    """Currency and names (by pk) of the accounts in the curve: the paper accounts of the most frequent currency."""
    accounts = Account.objects.filter(
        is_demo=is_demo_feed(), mode=Account.Mode.PAPER, broker="paper"
    ).order_by("pk")
    if asset_type:
        accounts = accounts.filter(asset_type=asset_type)
    return most_of(accounts.values_list("pk", "name", "currency"))


def most_of(accounts: Iterable[tuple[int, str, str]]) -> tuple[str, dict[int, str]]:
    """The currency most of them have, and the names of those, by pk."""
    by_currency: dict[str, dict[int, str]] = {}
    for pk, name, currency in sorted(accounts):
        by_currency.setdefault(currency, {})[pk] = name
    return max(by_currency.items(), key=lambda item: len(item[1]), default=("", {}))


def equity_curve(now: datetime, span: timedelta | None, asset_type: str = "") -> Curve:
    """The sum over the accounts of one currency (that of most accounts). Two queries."""
    currency, names = drawn(asset_type)
    if not names:
        return Curve("", (), (), ())
    pks = list(names)
    rows = EquityPoint.objects.filter(account_id__in=pks)
    if span is not None:
        rows = rows.filter(at__gte=now - span)
    times, sums = _summed(list(rows.order_by("at").values_list("at", "account_id", "equity")), len(pks))
    step = max(1, len(times) // _MOST_POINTS)
    keep = [index for index in range(len(times)) if index % step == 0 or index == len(times) - 1]
    return Curve(currency, tuple(names.values()), tuple(times[i] for i in keep), tuple(sums[i] for i in keep))


def _summed(
    points: list[tuple[datetime, int, Decimal]], accounts: int
) -> tuple[list[datetime], list[Decimal]]:
    """Each account counts with its newest value; the curve starts when all have one."""
    newest: dict[int, Decimal] = {}
    times: list[datetime] = []
    sums: list[Decimal] = []
    for at, account, equity in points:
        newest[account] = equity
        if len(newest) < accounts:
            continue
        total = sum(newest.values(), Decimal(0))
        if times and times[-1] == at:
            sums[-1] = total
        else:
            times.append(at)
            sums.append(total)
    return times, sums
