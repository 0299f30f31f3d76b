"""From targets to orders: positions, deltas, reductions first, the gate, intents and orders in one commit,
then sending.

The key of an intent (workflow, slot, instrument, side, sequence) is unique: the same run executed twice
changes nothing. An instrument without a target is left alone; to get out of it the strategy says weight 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from django.conf import settings

from assets.markets import calendars, hub, timeframes
from assets.markets.models import Instrument
from assets.trading import agreement, conf
from assets.trading.brokers import venue_keys
from assets.trading.market import rules_of
from assets.trading.models import Account, Order
from assets.trading.selectors import valuation
from assets.trading.services import accounts, gate, orders, risk_facts, sizing
from assets.trading.services.intents import Draft, Sight, commit, sight
from assets.trading.services.risk_facts import STOP_SLUG
from assets.trading.states import IN_DOUBT, OPEN
from assets.trading.targets import Target
from orchestrator.plugins import RunContext
from orchestrator.services import control
from tradingsite.foundation import alerts, audit, statements
from tradingsite.foundation.crash import crash_here
from tradingsite.foundation.errors import Conflict, Unavailable

ZERO = Decimal(0)


@dataclass(frozen=True, kw_only=True, slots=True)
class ExecutionReport:
    """What became of the targets. `denied` and `ignored` count by code; `changed`: an order reached the
    venue.
    """

    intents: int = 0
    sent: int = 0
    denied: dict[str, int] = field(default_factory=dict)
    ignored: dict[str, int] = field(default_factory=dict)
    expired: dict[str, int] = field(default_factory=dict)
    changed: bool = False


@dataclass(kw_only=True, slots=True)
class Pass:
    """One call of `execute_targets`."""

    ctx: RunContext
    account: Account
    now: datetime
    seen: Sight
    book: valuation.Book
    standing: gate.Standing
    pending: dict[int, Decimal]
    in_doubt: set[int]
    open_orders: list[Order]
    exiting: frozenset[int]  # instruments whose stop was hit
    drafts: list[Draft] = field(default_factory=list)
    ignored: dict[str, int] = field(default_factory=dict)

    def held(self, instrument_id: int) -> Decimal:
        row = self.book.row(instrument_id)
        return row.quantity if row else ZERO

    def ignore(self, code: str) -> None:
        self.ignored[code] = self.ignored.get(code, 0) + 1


def execute_targets(
    *, ctx: RunContext, account: Account, targets: Sequence[Target], now: datetime
) -> ExecutionReport:
    """Bring the account towards `targets`. Never call it inside a transaction.

    Refusals are rows with a code, not exceptions. Raises NotFound for an unknown symbol, ValueError when a
    symbol is named twice, and what `ctx.guard` raises when the run was superseded.
    """
    instruments = _instruments(account, targets)
    work = begin(ctx, account, list(instruments.values()), now)
    pairs = [(target, instruments[target.symbol]) for target in targets]
    pairs = [pair for pair in pairs if not _leaves_to_the_stop(pair[1], work)]
    for target, instrument in pairs:
        _make_room(target, instrument, work)
    gate_all(_ordered(pairs, work), work)
    if not work.drafts:
        return ExecutionReport(ignored=work.ignored)

    def again() -> list[Draft]:
        nonlocal work
        work = begin(ctx, account, list(instruments.values()), now)
        gate_all(_ordered(pairs, work), work)
        return work.drafts

    crash_here("before_intent")
    made = commit(ctx=ctx, account=account, now=now, drafts=work.drafts, seen=work.seen, again=again)
    crash_here("after_intent")
    if any(draft.denial and draft.denial.code == "order_rate" for draft in work.drafts):
        _trip_breaker(work)
    return send_all(made, work)


def _leaves_to_the_stop(instrument: Instrument, work: Pass) -> bool:
    """A position whose stop was hit is being closed: no strategy takes that back, or opens anew behind it."""
    if work.ctx.slug == STOP_SLUG or instrument.pk not in work.exiting:
        return False
    work.ignore("stop_hit")
    return True


def _instruments(account: Account, targets: Sequence[Target]) -> dict[str, Instrument]:
    found: dict[str, Instrument] = {}
    known = {row.symbol: row for row in hub.active_instruments(account.asset_type)}
    for target in targets:
        if target.symbol in found:
            raise ValueError(f"Two targets for {target.symbol}; a run must decide for one.")
        found[target.symbol] = known.get(target.symbol) or hub.by_symbol(target.symbol)
    return found


def begin(ctx: RunContext, account: Account, instruments: list[Instrument], now: datetime) -> Pass:
    # Before anything else: what comes later than this is noticed when the intents are committed.
    seen = sight(account.pk)
    # Fresh: a person may have halted it since the run began.
    account = Account.objects.get(pk=account.pk)
    rows = Order.objects.filter(account=account, status__in=OPEN).order_by("pk")
    open_orders = list(rows.select_related("intent", "instrument"))
    book = valuation.load(account, now, [*instruments, *(order.instrument for order in open_orders)])
    pending: dict[int, Decimal] = {}
    for order in open_orders:
        pending[order.instrument_id] = pending.get(order.instrument_id, ZERO) + _rest(order)
    standing = _standing(ctx, account, book, now)
    standing.exposure = _exposure(book, open_orders)
    return Pass(
        ctx=ctx, account=account, now=now, seen=seen, book=book, standing=standing,
        pending=pending, in_doubt={o.instrument_id for o in open_orders if o.status in IN_DOUBT},
        open_orders=open_orders, exiting=_exiting(account.pk),
    )  # fmt: skip


def _exiting(account_id: int) -> frozenset[int]:
    return frozenset(pk for (pk,) in statements.rows(_EXITING, (account_id,)))


_EXITING = (
    "SELECT p.instrument_id FROM trading_protectivestop s JOIN trading_position p ON p.id = s.position_id "
    "WHERE s.status = 'hit' AND p.account_id = %s"
)


def _rest(order: Order) -> Decimal:
    """Signed quantity that may still fill."""
    rest: Decimal = order.quantity - order.filled_quantity
    return rest if order.side == "buy" else -rest


def _standing(ctx: RunContext, account: Account, book: valuation.Book, now: datetime) -> gate.Standing:
    entries, allowed = False, False
    try:
        state = control.current()
        entries, allowed = state.entries_allowed and ctx.entries_allowed, state.orders_allowed
    except Unavailable:
        # Fail closed: nothing passes the gate.
        pass
    return gate.Standing(
        account_state=account.state,
        entries_allowed=entries,
        orders_allowed=allowed,
        equity=book.equity.equity,
        limits=gate.Limits(
            allows_short=account.allows_short,
            max_leverage=Decimal(repr(account.max_leverage)),
            max_order_notional=account.max_order_notional,
            max_position_ratio=Decimal(repr(account.max_position_ratio)),
            max_orders_per_minute=account.max_orders_per_minute,
            max_orders_per_day=account.max_orders_per_day,
            max_correlated_ratio=Decimal(repr(account.max_correlated_ratio)),
            max_total_ratio=settings.MAX_TOTAL_EXPOSURE,
            max_daily_loss_ratio=Decimal(repr(account.max_daily_loss_ratio)),
            max_drawdown_ratio=Decimal(repr(account.max_drawdown_ratio)),
            price_band_ratio=Decimal(repr(account.price_band_ratio)),
            allowed_symbols=frozenset(account.allowed_symbols),
        ),
        live_allowed=agreement.is_allowed(account.broker, account.mode, account.pk, account.asset_type, now),
        key_allowed=account.broker == agreement.PAPER
        or agreement.is_key_allowed(venue_keys.permissions(account)),
        books_agree=agreement.is_current(account.broker, account.reconciled_at, now),
        orders_last_minute=0,  # counted when there is something to pass
    )


def _exposure(book: valuation.Book, open_orders: list[Order]) -> dict[int, Decimal]:
    """|value| per instrument in the account's currency, working orders as if filled; at cost without a price."""
    units = {row.instrument_id: row.quantity for row in book.rows}
    quotes = {row.instrument_id: row.quote for row in book.rows}
    for order in open_orders:
        units[order.instrument_id] = units.get(order.instrument_id, ZERO) + _rest(order)
        quotes[order.instrument_id] = order.instrument.quote
    exposure: dict[int, Decimal] = {}
    for pk, quantity in units.items():
        look, row, rate = book.looks.get(pk), book.row(pk), book.rates.rate(quotes[pk])
        price = (look.price if look else None) or (row.average_price if row else None)
        if quantity and price is not None and rate is not None:
            exposure[pk] = abs(quantity) * price * rate
    return exposure


def situation_of(instrument: Instrument, work: Pass) -> sizing.Situation | None:
    look = work.book.looks[instrument.pk]
    if look.price is None:
        return None
    return sizing.Situation(
        held=work.held(instrument.pk),
        pending=work.pending.get(instrument.pk, ZERO),
        price=look.price,
        rate=work.book.rates.rate(instrument.quote),
        equity=work.book.equity.equity,
        rules=rules_of(instrument),
    )


def _make_room(target: Target, instrument: Instrument, work: Pass) -> None:
    """Take back working entries the target no longer wants, so that nothing opens behind an exit's back."""
    situation = situation_of(instrument, work)
    if situation is None or not situation.pending:
        return
    legs = sizing.size(target, situation)
    if isinstance(legs, sizing.Ignored) or (legs[0].side == "buy") == (situation.pending > 0):
        return
    for order in work.open_orders:
        if order.instrument_id != instrument.pk or order.status in IN_DOUBT:
            continue
        try:
            after = orders.cancel(
                order.pk, actor=audit.system(work.ctx.slug), now=work.now, reason="target turned"
            )
        except Conflict:
            # It ended meanwhile; the next run sees the new position.
            continue
        if after.status == Order.Status.CANCELLED:
            work.pending[instrument.pk] -= _rest(order)


def _ordered(pairs: list[tuple[Target, Instrument]], work: Pass) -> list[Draft]:
    """All legs, those that reduce first, then entries by urgency. Each exit frees room for an entry."""
    drafts: list[Draft] = []
    for target, instrument in pairs:
        situation = situation_of(instrument, work)
        if situation is None:
            drafts.append(Draft.unpriced(target, instrument))
            continue
        legs = sizing.size(target, situation)
        if isinstance(legs, sizing.Ignored):
            work.ignore(legs.code)
            continue
        if situation.pending and (legs[0].side == "buy") != (situation.pending > 0):
            # Could not be taken back (in doubt, or the venue has not answered): wait for it.
            work.ignore("order_working")
            continue
        drafts += [
            Draft.of(target, instrument, leg, seq, situation.price, valid_until(instrument, work.now))
            for seq, leg in enumerate(legs)
        ]
    return sorted(drafts, key=lambda draft: (not draft.reduces, -draft.target.urgency))


def gate_all(drafts: list[Draft], work: Pass) -> None:
    """Pass every draft through the gate once, in order, each approval counted before the next."""
    if not drafts:
        return
    recent = Order.objects.filter(account=work.account, created_at__gt=work.now - conf.LIMITS_WINDOW)
    work.standing.orders_last_minute = recent.exclude(status=Order.Status.DENIED).count()
    know_losses(work, [draft.instrument for draft in drafts if draft.priced and not draft.reduces])
    for draft in drafts:
        pk = draft.instrument.pk
        if draft.priced:
            proposal = proposal_of(draft, work)
            draft.denial = gate.check(proposal, work.standing, work.book.looks[pk])
            if draft.denial is None:
                work.standing.approve(proposal)
                work.pending[pk] = work.pending.get(pk, ZERO) + proposal.signed
        work.drafts.append(draft)


def know_losses(work: Pass, wanted: list[Instrument]) -> None:
    """What the gate must know of the account before anything of `wanted` is entered; exits need none of it."""
    if wanted:
        risk_facts.add(work.standing, work.account, wanted, work.book, work.now)


def proposal_of(draft: Draft, work: Pass) -> gate.Proposal:
    instrument = draft.instrument
    return gate.Proposal(
        instrument_id=instrument.pk, symbol=instrument.symbol, side=draft.side, quantity=draft.quantity,
        price=draft.limit_price or draft.reference_price, rate=work.book.rates.rate(instrument.quote),
        held=work.held(instrument.pk), pending=work.pending.get(instrument.pk, ZERO), reduces=draft.reduces,
        in_doubt=instrument.pk in work.in_doubt, rules=rules_of(instrument),
    )  # fmt: skip


def _trip_breaker(work: Pass) -> None:
    """More orders than a sane strategy sends: halt the account until a person has looked."""
    actor = audit.system("order rate breaker")
    try:
        accounts.set_state(work.account.pk, "halt", actor=actor, now=work.now, reason="order rate")
    except Conflict:
        # Halted already.
        return
    alerts.raise_alert(
        key=f"order-rate:{work.account.pk}", code="order-rate-breaker", severity="critical",
        subject=work.account.name, params={"limit": work.account.max_orders_per_minute}, now=work.now,
    )  # fmt: skip


def valid_until(instrument: Instrument, now: datetime) -> datetime:
    """Three bars of open market, at least five minutes; what is left at the close continues at the next
    opening.
    """
    bar = timedelta(seconds=timeframes.seconds(instrument.timeframe))
    life = max(conf.VALIDITY_BARS * bar, conf.MIN_VALIDITY)
    calendar = calendars.get(instrument.calendar)
    close = calendar.next_close(now)
    if close is None or close >= now + life:
        return now + life
    opening = calendar.next_open(close)
    return max(now + life, (opening or close) + life)


def send_all(made: list[tuple[Draft, Order]], work: Pass) -> ExecutionReport:
    sent = 0
    denied: dict[str, int] = {}
    expired: dict[str, int] = {}
    for draft, order in made:
        if draft.denial is not None:
            denied[draft.denial.code] = denied.get(draft.denial.code, 0) + 1
            continue
        look = work.book.looks.get(order.instrument_id)
        try:
            after = orders.send_order(order.pk, guard=work.ctx.guard, now=work.now, order=order, seen=look)
        except BaseException as e:
            # This run may not act any more. What it has not sent must not be sent for it by recovery.
            orders.abandon([row for other, row in made if other.denial is None], e)
            raise
        if after.status in (Order.Status.EXPIRED, Order.Status.REJECTED):
            expired[after.status_code] = expired.get(after.status_code, 0) + 1
        else:
            sent += 1
    return ExecutionReport(
        intents=len(made), sent=sent, denied=denied, ignored=work.ignored, expired=expired, changed=sent > 0
    )
