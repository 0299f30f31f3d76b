"""Double entry. Every journal sums to exactly 0 in each asset; the database refuses to post one that does
not.

Debit is positive. Chart of an account, per asset: `cash` what is held (below 0: borrowed or shorted),
`exchange` the counterpart of trades, `fees` and `foreign_fees` what venues kept, `equity` what the owner put
in, `rounding` the last digits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from django.db import IntegrityError, transaction

from assets.quant import fills as model
from assets.trading.models import Account, Journal, JournalLine, LedgerAccount
from tradingsite.foundation.errors import Conflict, Invalid
from tradingsite.foundation.money import EXACT

CASH: Final = "cash"
EXCHANGE: Final = "exchange"
FEES: Final = "fees"
FOREIGN_FEES: Final = "foreign_fees"
EQUITY: Final = "equity"
ROUNDING: Final = "rounding"

KINDS: Final = (CASH, EXCHANGE, FEES, FOREIGN_FEES, EQUITY, ROUNDING)


@dataclass(frozen=True, slots=True)
class Line:
    """One leg of a posting: debit positive, credit negative, in units of `asset`."""

    kind: str
    asset: str
    amount: Decimal


def imbalance(lines: Iterable[Line]) -> dict[str, Decimal]:
    """The assets that do not sum to 0, with their sums. Empty is balanced."""
    sums: dict[str, Decimal] = {}
    for line in lines:
        sums[line.asset] = EXACT.add(sums.get(line.asset, Decimal(0)), line.amount)
    return {asset: total for asset, total in sums.items() if total}


def post(*, account: Account, kind: str, key: str, at: datetime, lines: Iterable[Line]) -> Journal:
    """Write and post one journal, in the caller's transaction or its own. Legs of 0 are left out.

    Raises Invalid when the lines do not balance and Conflict when `key` was posted before.
    """
    legs = [line for line in lines if line.amount]
    wrong = imbalance(legs)
    if wrong:
        text = ", ".join(f"{total} {asset}" for asset, total in sorted(wrong.items()))
        raise Invalid(f"The journal {key} does not sum to 0: {text}.", code="journal-unbalanced")
    if not legs:
        raise Invalid(f"The journal {key} moves nothing.", code="journal-empty")
    # No savepoint: a posting that fails takes the caller's whole transaction with it, both or none.
    with transaction.atomic(savepoint=False):
        chart = _chart(account, {(leg.kind, leg.asset) for leg in legs})
        try:
            journal = Journal.objects.create(account=account, kind=kind, key=key, at=at)
        except IntegrityError as e:
            raise Conflict(f"The journal {key} was posted before.", code="journal-posted") from e
        JournalLine.objects.bulk_create(
            JournalLine(journal=journal, ledger_account=chart[leg.kind, leg.asset], amount=leg.amount)
            for leg in legs
        )
        # Last, as the trigger checks the sums at this instant and locks the lines from then on.
        Journal.objects.filter(pk=journal.pk).update(posted=True)
        journal.posted = True
    return journal


def _chart(account: Account, wanted: set[tuple[str, str]]) -> Mapping[tuple[str, str], LedgerAccount]:
    assets = {asset for _kind, asset in wanted}
    rows = LedgerAccount.objects.filter(account=account, asset__in=assets)
    chart = {(row.kind, row.asset): row for row in rows}
    for kind, asset in sorted(wanted - chart.keys()):
        chart[kind, asset], _created = LedgerAccount.objects.get_or_create(
            account=account, kind=kind, asset=asset
        )
    return chart


def opening_lines(currency: str, amount: Decimal) -> list[Line]:
    """The owner puts `amount` in."""
    return [Line(CASH, currency, amount), Line(EQUITY, currency, -amount)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Trade:
    """One execution as the ledger sees it. Fee above 0 is paid, below 0 is a rebate."""

    side: str
    base: str
    quote: str
    quantity: Decimal
    price: Decimal
    fee: Decimal
    fee_asset: str


def trade_lines(trade: Trade) -> list[Line]:
    """Legs of one fill, spot style: the base moves one way, cash of the quote currency the other, then the
    fee.

    The buyer's cash rounds up, the seller's down, both to 1e-8; what that differs from quantity x price goes
    to `rounding`.
    """
    buy = trade.side == model.BUY
    cash = model.cash_value(trade.side, trade.quantity, trade.price)
    exact = model.exact_value(trade.quantity, trade.price)
    # Signs as for a buy; a sale turns every leg around, the rounding leg included.
    sign = 1 if buy else -1
    quantity, paid, value = sign * trade.quantity, sign * cash, sign * exact
    lines = [
        Line(CASH, trade.base, quantity),
        Line(EXCHANGE, trade.base, -quantity),
        Line(CASH, trade.quote, -paid),
        Line(EXCHANGE, trade.quote, value),
        Line(ROUNDING, trade.quote, EXACT.subtract(paid, value)),
    ]
    if trade.fee:
        known = trade.fee_asset in (trade.base, trade.quote)
        lines += [
            Line(CASH, trade.fee_asset, -trade.fee),
            Line(FEES if known else FOREIGN_FEES, trade.fee_asset, trade.fee),
        ]
    return lines
