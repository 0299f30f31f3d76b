"""The risk gate: every order passes it once, before it exists. Pure: a refusal is a value with rule, limit
and value.

What reduces risk passes while entries are paused and is not held back by size limits; nothing passes a stop.
"""

from __future__ import annotations

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
    """Standing limits of an account. Money in the account's currency; 0 of `max_order_notional` is none."""

    allows_short: bool
    max_leverage: Decimal
    max_order_notional: Decimal
    max_position_ratio: Decimal
    max_orders_per_minute: int


@dataclass(kw_only=True, slots=True)
class Standing:
    """The account as it is, moved on by `approve` while one batch passes.

    `exposure` is |value| per instrument in the account's currency, working orders included as if filled.
    """

    account_state: str
    entries_allowed: bool
    orders_allowed: bool
    equity: Decimal
    limits: Limits
    orders_last_minute: int
    live_allowed: bool = True  # for an account at a venue: real money was switched on
    books_agree: bool = True  # with the venue's, as far as there is one
    exposure: dict[int, Decimal] = field(default_factory=dict)

    def approve(self, proposal: Proposal) -> None:
        """Count an approved order."""
        self.orders_last_minute += 1
        if proposal.rate is not None:
            self.exposure[proposal.instrument_id] = _exposure_after(proposal)


def check(proposal: Proposal, standing: Standing, look: Look) -> Denial | None:
    """The first rule that refuses, or None. No side effects."""
    return (
        _switches(proposal, standing)
        or _market(look)
        or _filters(proposal)
        # The breaker stops what adds risk; a rebalance with many sales must never lock positions in.
        or (None if proposal.reduces else _rate(standing) or _entry(proposal, standing))
    )


def _switches(proposal: Proposal, standing: Standing) -> Denial | None:
    if not standing.orders_allowed:
        return Denial(code="stopped")
    if standing.account_state == "halted":
        return Denial(code="account_halted")
    if not standing.live_allowed:
        return Denial(code="live_not_allowed")
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
    return None


def _exposure_after(proposal: Proposal) -> Decimal:
    """|value| on the instrument once this and all working orders are filled, in the account's currency."""
    assert proposal.rate is not None
    return abs(proposal.held + proposal.pending + proposal.signed) * proposal.price * proposal.rate


def _two(value: Decimal) -> str:
    return str(value.quantize(Decimal("0.01")))
