"""Stateful properties: whatever happens in whatever order, an order's life, a position with its ledger, and the gate's
limits keep their promises. And a hundred thousand journals sum to exactly zero.
"""

from __future__ import annotations

import random
from decimal import Decimal

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from assets.markets.staleness import Word
from assets.quant.fills import VenueRules, cash_value
from assets.quant.lots import METHODS, LotTrade, match
from assets.quant.positions import Holding, apply_trade
from assets.trading.market import Look
from assets.trading.services import gate, ledger
from assets.trading.services.ledger import Trade
from assets.trading.states import FINISHED, ORDER
from assets.trading.tests.kit import D
from tradingsite.foundation.money import EXACT
from tradingsite.foundation.transitions import IllegalTransition

ZERO = Decimal(0)


# --- An order --------------------------------------------------------------------------------------------------


class OrderLife(RuleBasedStateMachine):
    """Events in any order: what is not allowed changes nothing, what was sent is never new again, ends hold."""

    def __init__(self) -> None:
        super().__init__()
        self.status = "new"
        self.was_sent = False
        self.filled = 0

    @rule(event=st.sampled_from(sorted(ORDER.events)))
    def happen(self, event: str) -> None:
        before = self.status
        try:
            after = ORDER.next(before, event)
        except IllegalTransition:
            assert self.status == before
            return
        self.status = after
        if event == "send":
            assert before == "new" and not self.was_sent  # one way out of new, once
            self.was_sent = True
        if event.startswith("fill") or event == "overfill":
            assert before not in ("new", "denied")  # nothing can have happened at a venue yet
            self.filled += 1
        if before in FINISHED and after not in FINISHED:
            # Only what the venue proves to live again comes back, and only to be taken back.
            assert (event, after) == ("reappear", "cancel_pending")

    @invariant()
    def denied_is_the_end(self) -> None:
        if self.status == "denied":
            assert not self.was_sent and not self.filled

    @invariant()
    def what_was_sent_is_never_new_again(self) -> None:
        assert self.status != "new" or not (self.was_sent or self.filled)


TestOrderLife = OrderLife.TestCase
TestOrderLife.settings = settings(max_examples=200, stateful_step_count=30, deadline=None)


# --- A position and its ledger ---------------------------------------------------------------------------------

amounts = st.decimals(min_value=D("0.00000001"), max_value=D("1e12"), places=8)


class PositionAndLedger(RuleBasedStateMachine):
    """Fills of one instrument: the ledger balances, cash follows from the position, lots conserve money."""

    def __init__(self) -> None:
        super().__init__()
        self.holding = Holding()
        self.books: dict[tuple[str, str], Decimal] = {}
        self.trades: list[LotTrade] = []

    @rule(buy=st.booleans(), quantity=amounts, price=amounts, fee=st.decimals(D("-1"), D("10"), places=8))
    def fill(self, buy: bool, quantity: Decimal, price: Decimal, fee: Decimal) -> None:
        side = "buy" if buy else "sell"
        trade = Trade(side=side, base="A", quote="B", quantity=quantity, price=price, fee=fee, fee_asset="B")
        lines = ledger.trade_lines(trade)
        assert ledger.imbalance(lines) == {}
        for line in lines:
            key = line.kind, line.asset
            self.books[key] = EXACT.add(self.books.get(key, ZERO), line.amount)
        value = cash_value(side, quantity, price)
        signed = quantity if buy else -quantity
        self.holding = apply_trade(self.holding, quantity=signed, value=value, fee=fee)

    @precondition(lambda self: self.holding.quantity)
    @rule(price=amounts)
    def close(self, price: Decimal) -> None:
        quantity = self.holding.quantity
        self.fill(quantity < 0, abs(quantity), price, ZERO)
        assert (self.holding.quantity, self.holding.cost) == (ZERO, ZERO)

    @invariant()
    def the_whole_ledger_is_zero(self) -> None:
        for asset in ("A", "B"):
            total = ZERO
            for (_kind, name), amount in self.books.items():
                if name == asset:
                    total = EXACT.add(total, amount)
            assert total == 0

    @invariant()
    def cash_follows_from_the_position(self) -> None:
        held = self.holding
        assert self.books.get(("cash", "A"), ZERO) == held.quantity
        expected = EXACT.subtract(EXACT.subtract(held.realised, held.cost), held.fees)
        assert self.books.get(("cash", "B"), ZERO) == expected

    @invariant()
    def cost_has_the_sign_of_the_quantity(self) -> None:
        assert self.holding.cost * self.holding.quantity >= 0


TestPositionAndLedger = PositionAndLedger.TestCase
TestPositionAndLedger.settings = settings(max_examples=100, stateful_step_count=25, deadline=None)


# --- The limits ------------------------------------------------------------------------------------------------

RULES = VenueRules(tick_size=D("0.01"), lot_step=D("1"), min_quantity=D("1"), min_notional=D("1"))


class Limiter(RuleBasedStateMachine):
    """Entries of any size into several instruments, exits, price moves: what passed never adds up to more than allowed."""

    @initialize(
        position=st.sampled_from(["0.2", "0.5", "1"]), leverage=st.sampled_from(["0.5", "1", "3"]),
        correlated=st.sampled_from(["0", "0.4", "1"]), per_day=st.integers(0, 8), short=st.booleans(),
    )  # fmt: skip
    def begin(self, position: str, leverage: str, correlated: str, per_day: int, short: bool) -> None:
        self.equity = D(1000)
        self.limits = gate.Limits(
            allows_short=short, max_leverage=D(leverage), max_order_notional=D(400), max_position_ratio=D(position),
            max_orders_per_minute=50, max_orders_per_day=per_day, max_correlated_ratio=D(correlated),
        )  # fmt: skip
        alike = {1: frozenset({2}), 2: frozenset({1}), 3: frozenset[int]()}
        self.standing = gate.Standing(
            account_state="active", entries_allowed=True, orders_allowed=True, equity=self.equity,
            limits=self.limits, orders_last_minute=0, alike=alike,
        )  # fmt: skip
        self.held: dict[int, Decimal] = {}
        self.passed = 0

    @rule(pk=st.sampled_from([1, 2, 3]), units=st.integers(-60, 60).filter(bool), price=st.integers(1, 20))
    def order(self, pk: int, units: int, price: int) -> None:
        held = self.held.get(pk, ZERO)
        signed = D(units)
        reduces = bool(held) and (held > 0) != (signed > 0) and abs(signed) <= abs(held)
        proposal = gate.Proposal(
            instrument_id=pk, symbol=str(pk), side="buy" if units > 0 else "sell", quantity=abs(signed),
            price=D(price), rate=D(1), held=held, pending=ZERO, reduces=reduces, in_doubt=False, rules=RULES,
        )  # fmt: skip
        look = Look(
            price=D(price), at=None, is_open=True, closed_reason="", word=Word.FRESH, age_s=1.0, limit_s=60.0
        )
        denial = gate.check(proposal, self.standing, look)
        if reduces and abs(signed) * price >= 1:
            assert denial is None or denial.code in ("lot_step", "below_min_quantity", "below_min_notional")
        if denial is not None:
            return
        self.standing.approve(proposal)
        self.held[pk] = held + signed
        self.passed += 1
        if reduces:
            return
        # Just after an entry passed: everything it was judged by holds.
        exposure = self.standing.exposure
        assert abs(self.held[pk]) * price == exposure[pk] <= self.limits.max_position_ratio * self.equity
        assert sum(exposure.values()) <= self.limits.max_leverage * self.equity
        assert abs(signed) * price <= 400
        if self.limits.max_correlated_ratio:
            crowd = exposure[pk] + sum(exposure.get(other, ZERO) for other in self.standing.alike[pk])
            assert crowd <= self.limits.max_correlated_ratio * self.equity
        if self.limits.max_orders_per_day:
            assert self.standing.orders_today <= self.limits.max_orders_per_day
        assert self.limits.allows_short or self.held[pk] >= 0

    @invariant()
    def nothing_is_short_that_must_not_be(self) -> None:
        if hasattr(self, "limits") and not self.limits.allows_short:
            assert all(quantity >= 0 for quantity in self.held.values())


TestLimiter = Limiter.TestCase
TestLimiter.settings = settings(max_examples=200, stateful_step_count=25, deadline=None)


# --- A hundred thousand journals -------------------------------------------------------------------------------


def test_a_hundred_thousand_journals_sum_to_exactly_zero() -> None:
    """Up to 30 digits before the point and 18 after it, fees in either asset or a third; seeded."""
    rng = random.Random(20260522)
    totals: dict[str, Decimal] = {}

    def amount(whole: int, fraction: int) -> Decimal:
        digits = rng.randint(1, whole)
        number = rng.randrange(1, 10**digits * 10**fraction)
        return EXACT.scaleb(Decimal(number), -fraction)

    for _journal in range(100_000):
        trade = Trade(
            side=rng.choice(("buy", "sell")), base="A", quote="B", quantity=amount(30, 18), price=amount(12, 18),
            fee=amount(6, 18) * rng.choice((-1, 0, 1)), fee_asset=rng.choice(("A", "B", "C")),
        )  # fmt: skip
        lines = ledger.trade_lines(trade)
        assert ledger.imbalance(lines) == {}, trade
        for line in lines:
            totals[line.asset] = EXACT.add(totals.get(line.asset, ZERO), line.amount)
    assert totals == {"A": 0, "B": 0, "C": 0}


def test_lots_conserve_money_over_a_long_history() -> None:
    """Two thousand trades of one instrument, each method, to the last digit."""
    from datetime import UTC, datetime, timedelta

    rng, at = random.Random(7), datetime(2024, 1, 1, tzinfo=UTC)
    trades = []
    for number in range(2_000):
        quantity = D(rng.randint(-1000, 1000) or 1) / 1000
        value = abs(quantity) * D(rng.randint(1, 10**9)) / 10_000
        trades.append(
            LotTrade(
                symbol="A",
                at=at + timedelta(minutes=number),
                quantity=quantity,
                value=value,
                fee=value / 1000,
            )
        )
    paid = sum((t.value if t.quantity > 0 else -t.value) + t.fee for t in trades)
    for method in METHODS:
        report = match(trades, method)
        open_cost = sum(lot.cost if lot.quantity > 0 else -lot.cost for lot in report.open)
        assert EXACT.subtract(Decimal(open_cost), sum((c.gain for c in report.closed), start=ZERO)) == paid
