"""The risk gate: every order passes it once, before it exists. Pure: a refusal is a value with rule, limit
and value.

What reduces risk passes while entries are paused and is not held back by size limits; nothing passes a stop.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from assets.quant.fills import VenueRules, floor_to
from assets.trading.market import Look

ZERO = Decimal(0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Denial:
    """Why not. `code` is stable, `limit` and `value` are texts of numbers or words."""

    code: str
    limit: str = ""
    value: str = ""

    def as_json(self) -> dict[str, str]:
        return {"rule": self.code, "limit": self.limit, "value": self.value}


@dataclass(frozen=True, kw_only=True, slots=True)
class Proposal:
    """One order somebody wants. `held` is the signed position, `pending` the signed rest of working orders."""

    instrument_id: int
    symbol: str
    side: str
    quantity: Decimal
    price: Decimal  # reference, quote currency, above 0
    rate: Decimal | None  # quote -> account currency, above 0
    held: Decimal
    pending: Decimal
    reduces: bool
    in_doubt: bool  # an order on this instrument may or may not be at the venue
    rules: VenueRules

    @property
    def signed(self) -> Decimal:
        return self.quantity if self.side == "buy" else -self.quantity

    @property
    def notional(self) -> Decimal:
        """In the quote currency."""
        return self.quantity * self.price


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Standing limits of an account. Money in the account's currency, ratios are fractions of equity; 0 is none.

    `price_band_ratio`: how much worse than the newest price an order may be priced. `allowed_symbols`: empty is all.
    """

    allows_short: bool
    max_leverage: Decimal
    max_order_notional: Decimal
    max_position_ratio: Decimal
    max_orders_per_minute: int
    max_orders_per_day: int = 0
    max_correlated_ratio: Decimal = ZERO
    max_total_ratio: Decimal = ZERO  # of all accounts of the same mode together
    max_daily_loss_ratio: Decimal = ZERO
    max_drawdown_ratio: Decimal = ZERO
    price_band_ratio: Decimal = ZERO
    allowed_symbols: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True, slots=True)
class Others:
    """The other accounts of the same mode, converted to this account's currency."""

    equity: Decimal = ZERO
    exposure: Decimal = ZERO


@dataclass(kw_only=True, slots=True)
class Standing:
    """The account as it is, moved on by `approve` while one batch passes.

    `exposure` is |value| per instrument in the account's currency, working orders included as if filled. `day_gain` is
    profit since the start of the UTC day over the equity then, None when unknown. `alike` names, per instrument, those
    that move with it (or against it: a hedge counts as exposure too). `locks`: (kind, until) by instrument id, 0: all.
    """

    account_state: str
    entries_allowed: bool
    orders_allowed: bool
    equity: Decimal
    limits: Limits
    orders_last_minute: int
    live_allowed: bool = True  # for an account at a venue: real money was switched on
    key_allowed: bool = True  # it cannot withdraw money
    books_agree: bool = True  # with the venue's, as far as there is one
    exposure: dict[int, Decimal] = field(default_factory=dict)
    orders_today: int = 0
    day_gain: Decimal | None = None
    drawdown: Decimal = ZERO
    others: Others = Others()
    alike: Mapping[int, frozenset[int]] = field(default_factory=dict)
    locks: Mapping[int, tuple[str, str]] = field(default_factory=dict)

    def approve(self, proposal: Proposal) -> None:
        """Count an approved order."""
        self.orders_last_minute += 1
        self.orders_today += 1
        if proposal.rate is not None:
            self.exposure[proposal.instrument_id] = _exposure_after(proposal)


def check(proposal: Proposal, standing: Standing, look: Look) -> Denial | None:
    """The first rule that refuses, or None. No side effects."""
    return (
        _switches(proposal, standing)
        or _market(look)
        or _filters(proposal)
        or _band(proposal, standing, look)
        # The breaker stops what adds risk; a rebalance with many sales must never lock positions in.
        or (
            None
            if proposal.reduces
            else _rate(standing) or _losses(proposal, standing) or _entry(proposal, standing)
        )
    )


def review(proposal: Proposal, standing: Standing, look: Look) -> tuple[tuple[str, Denial | None], ...]:
    """Every group of rules with its verdict, for a person who wants to see all of them before an order."""
    groups = [
        ("switch", _switches(proposal, standing)),
        ("market", _market(look)),
        ("filters", _filters(proposal)),
        ("band", _band(proposal, standing, look)),
    ]
    if not proposal.reduces:
        groups += [
            ("rate", _rate(standing)),
            ("losses", _losses(proposal, standing)),
            ("exposure", _entry(proposal, standing)),
        ]
    return tuple(groups)


def _switches(proposal: Proposal, standing: Standing) -> Denial | None:
    if not standing.orders_allowed:
        return Denial(code="stopped")
    if standing.account_state == "halted":
        return Denial(code="account_halted")
    if not standing.live_allowed:
        return Denial(code="live_not_allowed")
    if not standing.key_allowed:
        return Denial(code="key_can_withdraw")
    if not standing.books_agree:
        return Denial(code="not_reconciled")
    if proposal.reduces:
        return None
    if not standing.entries_allowed:
        return Denial(code="entries_paused")
    if standing.account_state != "active":
        return Denial(code="account_reducing")
    return Denial(code="order_in_doubt") if proposal.in_doubt else None


def _market(look: Look) -> Denial | None:
    if look.price is None or look.age_s is None:
        return Denial(code="price_unknown")
    if not look.is_open:
        return Denial(code="market_closed", value=look.closed_reason)
    if not look.usable:
        return Denial(code="data_stale", limit=f"{look.limit_s:.0f}", value=f"{look.age_s:.0f}")
    return None


def _filters(proposal: Proposal) -> Denial | None:
    rules, quantity = proposal.rules, proposal.quantity
    if quantity <= 0 or floor_to(quantity, rules.lot_step) != quantity:
        return Denial(code="lot_step", limit=str(rules.lot_step), value=str(quantity))
    if quantity < rules.min_quantity:
        return Denial(code="below_min_quantity", limit=str(rules.min_quantity), value=str(quantity))
    if proposal.notional < rules.min_notional:
        return Denial(code="below_min_notional", limit=str(rules.min_notional), value=str(proposal.notional))
    return None


def _rate(standing: Standing) -> Denial | None:
    limit = standing.limits.max_orders_per_minute
    if standing.orders_last_minute >= limit:
        return Denial(code="order_rate", limit=str(limit), value=str(standing.orders_last_minute + 1))
    return None


def _band(proposal: Proposal, standing: Standing, look: Look) -> Denial | None:
    """No order far beyond the market: a typing error, a wrong tick or an old decision."""
    band, last = standing.limits.price_band_ratio, look.price
    if not band or last is None:
        return None
    worse = proposal.price / last - 1 if proposal.side == "buy" else 1 - proposal.price / last
    return Denial(code="price_band", limit=str(band), value=_four(worse)) if worse > band else None


def _losses(proposal: Proposal, standing: Standing) -> Denial | None:
    """What has been lost, and what a protection or a person has closed."""
    limits = standing.limits
    if limits.allowed_symbols and proposal.symbol not in limits.allowed_symbols:
        return Denial(
            code="not_allowed", limit=", ".join(sorted(limits.allowed_symbols))[:80], value=proposal.symbol
        )
    lock = standing.locks.get(0) or standing.locks.get(proposal.instrument_id)
    if lock is not None:
        return Denial(code=f"lock_{lock[0]}", limit=lock[1])
    if limits.max_orders_per_day and standing.orders_today >= limits.max_orders_per_day:
        return Denial(
            code="orders_per_day", limit=str(limits.max_orders_per_day), value=str(standing.orders_today + 1)
        )
    loss = None if standing.day_gain is None else -standing.day_gain
    if limits.max_daily_loss_ratio and (loss is None or loss >= limits.max_daily_loss_ratio):
        value = "" if loss is None else _four(loss)
        return Denial(code="daily_loss", limit=str(limits.max_daily_loss_ratio), value=value)
    if limits.max_drawdown_ratio and standing.drawdown >= limits.max_drawdown_ratio:
        return Denial(code="drawdown", limit=str(limits.max_drawdown_ratio), value=_four(standing.drawdown))
    return None


def _entry(proposal: Proposal, standing: Standing) -> Denial | None:
    limits, rate, equity = standing.limits, proposal.rate, standing.equity
    after = proposal.held + proposal.pending + proposal.signed
    if after < 0 and not limits.allows_short:
        return Denial(code="short_not_allowed", limit="0", value=str(after))
    if rate is None:
        return Denial(code="conversion_unknown")
    if equity <= 0:
        return Denial(code="no_equity", limit="0", value=str(equity))
    notional = proposal.notional * rate
    if limits.max_order_notional and notional > limits.max_order_notional:
        return Denial(code="max_order_notional", limit=str(limits.max_order_notional), value=_two(notional))
    exposure = _exposure_after(proposal)
    if exposure > limits.max_position_ratio * equity:
        return Denial(
            code="max_position_ratio", limit=str(limits.max_position_ratio), value=_two(exposure / equity)
        )
    gross = exposure + sum(
        (value for pk, value in standing.exposure.items() if pk != proposal.instrument_id), start=ZERO
    )
    if gross > limits.max_leverage * equity:
        return Denial(code="buying_power", limit=_two(limits.max_leverage * equity), value=_two(gross))
    return _crowd(proposal, standing, exposure) or _total(standing, gross)


def _crowd(proposal: Proposal, standing: Standing, exposure: Decimal) -> Denial | None:
    """Many names, one bet: what moves together is limited together."""
    limit = standing.limits.max_correlated_ratio
    if not limit:
        return None
    alike = standing.alike.get(proposal.instrument_id, frozenset())
    crowd = exposure + sum((standing.exposure.get(pk, ZERO) for pk in alike), start=ZERO)
    if crowd > limit * standing.equity:
        return Denial(code="correlated_exposure", limit=str(limit), value=_four(crowd / standing.equity))
    return None


def _total(standing: Standing, gross: Decimal) -> Denial | None:
    limit = standing.limits.max_total_ratio
    equity = standing.equity + standing.others.equity
    total = gross + standing.others.exposure
    if limit and total > limit * equity:
        return Denial(code="total_exposure", limit=str(limit), value=_four(total / equity))
    return None


def _exposure_after(proposal: Proposal) -> Decimal:
    """|value| on the instrument once this and all working orders are filled, in the account's currency."""
    assert proposal.rate is not None
    return abs(proposal.held + proposal.pending + proposal.signed) * proposal.price * proposal.rate


def _four(value: Decimal) -> str:
    return str(value.quantize(Decimal("0.0001")))


def _two(value: Decimal) -> str:
    return str(value.quantize(Decimal("0.01")))
