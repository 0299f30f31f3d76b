"""Orders by hand, on paper: seen before they are placed, through the same gate, and once however often they are sent."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from django.conf import settings
from django.utils.translation import gettext as _

from assets.markets import hub
from assets.markets.models import Instrument
from assets.quant import fills as model
from assets.trading.models import Account, Intent, Order
from assets.trading.services import execution, gate, orders, sizing
from assets.trading.services.gate import Denial
from assets.trading.services.intents import Draft, commit
from assets.trading.targets import Reason, Target
from orchestrator.plugins import RunContext
from tradingsite.foundation import audit
from tradingsite.foundation.audit import Actor
from tradingsite.foundation.errors import FieldProblem, Invalid, NotFound, Refused, RiskRefused
from tradingsite.foundation.money import to_decimal

SLUG: Final = "ticket"
ZERO: Final = Decimal(0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Ticket:
    """What a person wants. `limit_price` None: at the market. Quantity in units of the instrument, above 0."""

    instrument_id: int
    side: str
    quantity: Decimal
    limit_price: Decimal | None = None

    def __post_init__(self) -> None:
        if self.side not in (model.BUY, model.SELL):
            raise Invalid(_("A side is buy or sell."), errors=_at("side", _("A side is buy or sell.")))
        if self.quantity <= 0:
            text = _("The quantity must be above 0.")
            raise Invalid(text, errors=_at("quantity", text))
        if self.limit_price is not None and self.limit_price <= 0:
            text = _("The limit price must be above 0.")
            raise Invalid(text, errors=_at("limit_price", text))


@dataclass(frozen=True, kw_only=True, slots=True)
class Preview:
    """What would happen. Money in the instrument's quote currency, exposure over equity; None: not known."""

    symbol: str
    account: str
    mode: str
    side: str
    quantity: Decimal
    price: Decimal | None
    notional: Decimal | None
    fee: Decimal | None
    spread_and_slippage: Decimal | None
    quote: str
    position_before: Decimal
    position_after: Decimal
    exposure_before: Decimal | None
    exposure_after: Decimal | None
    reduces: bool
    rules: tuple[tuple[str, Denial | None], ...]

    @property
    def denial(self) -> Denial | None:
        return next((denial for _name, denial in self.rules if denial is not None), None)


def read(symbol: str, side: str, quantity: str, limit_price: str = "") -> Ticket:
    """A ticket from texts. Raises NotFound, Invalid with one problem per wrong field."""
    numbers: dict[str, Decimal | None] = {"quantity": None, "limit_price": None}
    problems: list[FieldProblem] = []
    for name, text in (("quantity", quantity), ("limit_price", limit_price)):
        if not text and name == "limit_price":
            continue
        try:
            numbers[name] = to_decimal(text)
        except Invalid as error:
            problems += _at(name, error.message)
    if problems:
        raise Invalid(" ".join(problem["detail"] for problem in problems), errors=problems)
    instrument = hub.by_symbol(symbol)
    return Ticket(
        instrument_id=instrument.pk, side=side, quantity=numbers["quantity"] or ZERO,
        limit_price=numbers["limit_price"],
    )  # fmt: skip


def preview(ticket: Ticket, now: datetime) -> Preview:
    """See what `place` would do; nothing is written. Raises NotFound, Refused for an account that is not paper."""
    account, instrument = _where(ticket)
    work = execution.begin(_context(now), account, [instrument], now)
    draft = _draft(ticket, instrument, work, now)
    held, look = work.held(instrument.pk), work.book.looks[instrument.pk]
    price = ticket.limit_price or look.price
    signed = ticket.quantity if ticket.side == model.BUY else -ticket.quantity
    rules: tuple[tuple[str, Denial | None], ...] = (("market", Denial(code="price_unknown")),)
    if draft.priced:
        if not draft.reduces:
            execution.know_losses(work, [instrument])
        rules = gate.review(execution.proposal_of(draft, work), work.standing, look)
        if instrument.pk in work.exiting:
            rules = (("switch", Denial(code="stop_hit")), *rules[1:])
    notional = None if price is None else ticket.quantity * price
    bps = Decimal(repr(instrument.half_spread_bps + instrument.slippage_bps))
    equity, rate = work.book.equity.equity, work.book.rates.rate(instrument.quote)

    def exposure(units: Decimal) -> Decimal | None:
        if price is None or rate is None or equity <= 0:
            return None
        return abs(units) * price * rate / equity

    return Preview(
        symbol=instrument.symbol, account=account.name, mode=account.mode, side=ticket.side,
        quantity=ticket.quantity, price=price, notional=notional, quote=instrument.quote,
        fee=None if notional is None else notional * instrument.fee_rate,
        spread_and_slippage=None if notional is None or ticket.limit_price else notional * bps / model.BPS,
        position_before=held, position_after=held + signed, exposure_before=exposure(held),
        exposure_after=exposure(held + signed), reduces=draft.reduces, rules=rules,
    )  # fmt: skip


def place(ticket: Ticket, token: str, *, actor: Actor, now: datetime) -> Order:
    """The order of this ticket, placed once per `token`: the second time the first answer is given. Never inside a transaction.

    Raises RiskRefused with rule, limit and value when the gate refuses (the refusal is kept as a denied order), NotFound,
    Refused for an account that is not paper, Invalid for a token that is none.
    """
    if not 8 <= len(token) <= 64 or not token.isascii() or not token.isalnum():
        raise Invalid(_("The form is too old. Please open it again."), code="token")
    account, instrument = _where(ticket)
    key = f"{SLUG}:{account.pk}:{token}"
    known = Intent.objects.filter(key=key).select_related("order").first()
    if known is not None:
        return _answer(known.order)
    ctx = _context(now)
    work = execution.begin(ctx, account, [instrument], now)

    def judged() -> list[Draft]:
        if instrument.pk in work.exiting:
            draft = _draft(ticket, instrument, work, now)
            draft.denial = Denial(code="stop_hit")
            return [draft]
        execution.gate_all([_draft(ticket, instrument, work, now)], work)
        return work.drafts

    def again() -> list[Draft]:
        nonlocal work
        work = execution.begin(ctx, account, [instrument], now)
        return judged()

    made = commit(
        ctx=ctx,
        account=account,
        now=now,
        drafts=judged(),
        seen=work.seen,
        again=again,
        key_of=lambda draft: key,
    )
    if not made:  # the same form was sent twice at this instant
        return _answer(Intent.objects.select_related("order").get(key=key).order)
    order = made[0][1]
    audit.record(
        action="order.ticket", actor=actor, object_type="order", object_id=str(order.pk),
        after={"symbol": instrument.symbol, "side": ticket.side, "quantity": str(ticket.quantity)},
    )  # fmt: skip
    execution.send_all(made, work)
    return _answer(orders.current(order))


def _answer(order: Order) -> Order:
    if order.status != Order.Status.DENIED:
        return order
    detail = order.status_detail
    raise RiskRefused(
        _("Refused by the rule %(rule)s: limit %(limit)s, value %(value)s.")
        % {"rule": order.status_code, "limit": detail.get("limit") or "-", "value": detail.get("value") or "-"},
        code=order.status_code.replace("_", "-"), rule=order.status_code, limit=detail.get("limit", ""),
        value=detail.get("value", ""), order=str(order.pk),
    )  # fmt: skip


def _where(ticket: Ticket) -> tuple[Account, Instrument]:
    instrument = hub.by_id(ticket.instrument_id)
    is_demo = settings.TRADING_FEED == "simulated"
    found = Account.objects.filter(asset_type=instrument.asset_type, is_demo=is_demo).order_by("mode", "pk")
    account = found.filter(mode=Account.Mode.PAPER, broker="paper").first()
    if account is None:
        if found.exists():
            raise Refused(_("Orders by hand are for paper accounts only."), code="paper-only")
        raise NotFound(_("No account trades %(symbol)s.") % {"symbol": instrument.symbol})
    return account, instrument


def _draft(ticket: Ticket, instrument: Instrument, work: execution.Pass, now: datetime) -> Draft:
    """Quantity as asked for: a person hears that a lot does not fit instead of getting another one."""
    situation = execution.situation_of(instrument, work)
    signed = ticket.quantity if ticket.side == model.BUY else -ticket.quantity
    target = Target(
        symbol=instrument.symbol, quantity=work.held(instrument.pk) + signed, limit_price=ticket.limit_price,
        reasons=(Reason(code="by_hand"),),
    )  # fmt: skip
    if situation is None:
        return Draft.unpriced(target, instrument)
    leg = sizing.Leg(
        side=ticket.side, quantity=ticket.quantity, reduces=sizing.is_reduction(signed, situation),
        formula={"asked": str(ticket.quantity), "price": str(situation.price), "held": str(situation.held)},
    )  # fmt: skip
    return Draft.of(target, instrument, leg, 0, situation.price, execution.valid_until(instrument, now))


def _context(now: datetime) -> RunContext:
    return RunContext(
        run_id=0, epoch=0, workflow_id=0, slug=SLUG, type_key="", params={}, now=now, entries_allowed=True,
        guard=orders.no_guard,
    )  # fmt: skip


def _at(field: str, text: str) -> list[FieldProblem]:
    return [{"pointer": f"#/{field}", "code": "invalid", "detail": text}]
