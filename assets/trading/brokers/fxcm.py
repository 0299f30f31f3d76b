"""FXCM over FIX 4.4. Experimental: never run against the real venue, so no order leaves before its self-test has passed.

What the venue knows is asked for, never added up from reports that came by: a report that is lost, late, doubled or out
of order changes nothing. An order is a rejection only when it never left, or when the venue said so with a reason on the
whitelist; anything else is unknown. Nothing is sent twice.
"""

from __future__ import annotations

import hashlib
import logging
import uuid
from datetime import timedelta
from decimal import Decimal
from typing import Final, cast

from django.conf import settings

from assets.markets.feeds.fix.codec import Unreadable
from assets.markets.feeds.fix.line import Line, Reader, T, line_of
from assets.markets.feeds.fix.session import TEST_REQUEST, Login, NoAnswer, NotSent, Timing, TooLate
from assets.markets.feeds.fix.transport import Endpoint, is_loopback
from assets.trading.brokers import fxcm_answers as answers
from assets.trading.brokers import venue_keys
from assets.trading.brokers.base import (
    Accepted,
    Capabilities,
    OrderRequest,
    Permissions,
    Rejected,
    Unknown,
    VenueOrder,
    VenueTrade,
    filter_failure,
)
from assets.trading.brokers.fix import messages as fix
from assets.trading.models import Account, Fill, Order, VenueKey
from tradingsite.foundation import clock
from tradingsite.foundation.errors import Invalid, Unavailable
from tradingsite.foundation.money import EXACT

logger = logging.getLogger(__name__)

CAPABILITIES: Final = Capabilities(
    order_types=frozenset({"market", "limit"}),
    supports_lookup=True,
    refuses_stale=False,  # nothing is known of it: an order in doubt is never taken for gone
    quarantine=timedelta(seconds=15),  # the deadline of a call and what an order may spend in the line
    max_client_id=36,
)
TIMING: Final = Timing()
_LOOKS: Final = 3  # an order that fills while it is looked at is looked at again
_LONGEST_TRADE_ID: Final = 80
ZERO: Final = Decimal(0)


def endpoint_of_settings() -> Endpoint:
    """Where settings say the venue is. TLS always, except to this machine (a tunnel, a test). Raises Invalid."""
    host, port, sub = settings.FXCM_FIX_HOST, settings.FXCM_FIX_PORT, settings.FXCM_FIX_TARGET_SUB
    if not host or not port or not settings.FXCM_FIX_SENDER or not sub:
        raise Invalid(
            "FXCM needs TRADING_FXCM_FIX_HOST, _PORT, _SENDER and _TARGET_SUB; its support tells them.",
            code="fxcm-not-configured",
        )
    return Endpoint(
        host=host, port=port, sender=settings.FXCM_FIX_SENDER, target=settings.FXCM_FIX_TARGET, target_sub=sub,
        tls=not is_loopback(host),
    )  # fmt: skip


def connect(account: Account) -> FxcmBroker:
    """The broker of an account with its stored login. Raises NotFound without one, Undecryptable, Invalid.

    The key is the user name, or `user/account number` for a login with several accounts; the secret is the password.
    """
    user, password = venue_keys.read(account)
    user, _slash, number = user.partition("/")
    login = Login(user=user, password=password)
    return FxcmBroker(account, login=login, endpoint=endpoint_of_settings(), number=number)


class FxcmBroker:
    """One account whose positions net. Pairs of two currencies only."""

    def __init__(
        self, account: Account, *, login: Login, endpoint: Endpoint, number: str = "", timing: Timing = TIMING
    ) -> None:  # fmt: skip
        self.account, self.capabilities = account, CAPABILITIES
        self._wanted = number
        name = hashlib.sha256(f"{endpoint.host}:{endpoint.port}:{login.user}".encode()).hexdigest()[:16]
        self._line: Line = line_of(endpoint, login, timing, settings.VAR_DIR / "locks" / f"fxcm-{name}.lock")

    # --- Orders -------------------------------------------------------------------------------------------------

    def prepare(self) -> Rejected | None:
        """Pass the gate and be logged on: both may take a while, and an order that is claimed must not wait."""
        if not self._is_tested():
            message = f"First run: manage.py venue_key check {self.account.name}"
            return Rejected(code="not_self_tested", message=message)
        try:
            self._number()
            self._line.ready()
        except (NotSent, Unavailable) as e:
            return Rejected(code="not_connected", message=str(e)[:200])
        return None

    def place(self, request: OrderRequest) -> Accepted | Rejected | Unknown:
        """Send once. What proves that nothing of it left this process is a rejection."""
        code = filter_failure(request)
        refusal = Rejected(code=code) if code else self.prepare()
        if refusal is not None:
            return refusal
        try:
            fields = fix.new_order(
                account=self._number(), client_id=request.client_id, symbol=request.symbol, side=request.side,
                quantity=request.quantity, limit=request.limit_price, now=clock.now(),
            )  # fmt: skip
        except ValueError as e:
            return Rejected(code="unknown_symbol", message=str(e))
        return self._sent(fields, request)

    def _sent(self, fields: fix.Fields, request: OrderRequest) -> Accepted | Rejected | Unknown:
        read = answers.of_order(request.client_id)
        try:
            # mypy makes an object of a union that stands for a type variable.
            answer = self._line.exchange_now(fix.NEW_ORDER, fields, read, request.is_late)
            return cast(Accepted | Rejected | Unknown, answer)
        except TooLate as e:
            return Rejected(code="too_late", message=str(e))
        except NotSent as e:
            return Rejected(code="not_connected", message=str(e)[:200])
        except (NoAnswer, Unreadable) as e:
            return Unknown(reason=str(e)[:200])

    def cancel(self, client_id: str) -> bool:
        """True when the venue says it is cancelled. Raises Unavailable without an answer."""
        order = self._row(client_id)
        request_id = _request_id("c")
        fields = fix.cancel(
            account=self._number(), request_id=request_id, client_id=client_id, venue_id=order.venue_id,
            symbol=order.instrument.symbol, side=order.side, quantity=order.quantity, now=clock.now(),
        )  # fmt: skip
        try:
            return self._asked(fix.CANCEL, fields, answers.of_cancel(request_id, client_id))
        except answers.Refused:
            return False

    def fetch_order(self, client_id: str) -> VenueOrder | None:
        order = self._row(client_id)
        for _look in range(_LOOKS):
            report = self._status(order)
            if report is None:
                return None
            trades = self._trades(order, report) if report.filled else ()
            if sum((row.quantity for row in trades), ZERO) == report.filled:
                return _order(report, order.client_id, trades)
        raise Unavailable("FXCM's trades of an order and what it says is filled do not agree.")

    def open_orders(self) -> tuple[VenueOrder, ...]:
        request_id = _request_id("m")
        fields = fix.mass_status(account=self._number(), request_id=request_id)
        rows = self._answered(fix.MASS_STATUS, fields, answers.of_mass_status(request_id))
        # What was not placed here may have no id of ours: it must still show up, each on its own.
        found = (_order(row, row.client_id or f"venue-{row.venue_id}", ()) for row in rows)
        return tuple(row for row in found if row.status == "open")

    def balances(self) -> dict[str, Decimal]:
        """The balance, and each open position as what was got and given for it: so our ledger keeps them, too."""
        mine = self._collateral()
        held = {self.account.currency: mine.cash}
        request_id = _request_id("p")
        fields = fix.positions(account=mine.account, request_id=request_id, now=clock.now())
        for row in self._answered(fix.POSITIONS_REQUEST, fields, answers.of_positions(request_id)):
            if row.account != mine.account:
                continue
            held[row.base] = EXACT.add(held.get(row.base, ZERO), row.quantity)
            paid = EXACT.multiply(row.quantity, row.price)
            held[row.quote] = EXACT.subtract(held.get(row.quote, ZERO), paid)
        return {asset: amount for asset, amount in held.items() if amount}

    # --- The self-test ------------------------------------------------------------------------------------------

    def permissions(self) -> Permissions:
        """Asks everything an order needs, but places none. `can_trade` opens the gate of `place`; no login can withdraw.

        Raises Unavailable without clear answers.
        """
        request_id = _request_id("g")
        told = self._answered(
            fix.SESSION_REQUEST, fix.session_status(request_id=request_id), answers.of_session(request_id)
        )
        mine = self._collateral()
        self.open_orders()
        self.balances()
        problems = [
            text
            for text, is_wrong in (
                ("its times are not UTC", told.get("SERVER_TIME_UTC") != "UTC"),
                ("it counts in another currency than the account here", told.get("BASE_CRNCY") != self.account.currency),
                ("positions hedge instead of netting", mine.is_hedging),
            )
            if is_wrong
        ]  # fmt: skip
        if problems:
            logger.warning("fxcm self-test of %s: %s", self.account.name, "; ".join(problems))
        return Permissions(can_read=True, can_trade=not problems, can_withdraw=False, is_ip_restricted=False)

    def clock_offset(self) -> timedelta:
        """The venue's clock minus ours, by a test request and the heartbeat that answers it."""
        test_id = _request_id("t")
        before = clock.now()
        theirs = self._answered(TEST_REQUEST, [(112, test_id)], answers.of_test_request(test_id))
        after = clock.now()
        return theirs - (before + (after - before) / 2)

    def _is_tested(self) -> bool:
        row = VenueKey.objects.filter(account=self.account).first()
        return row is not None and row.checked_at is not None and row.permissions.get("can_trade") is True

    # --- Asking -------------------------------------------------------------------------------------------------

    def _asked(self, kind: str, fields: fix.Fields, read: Reader[T]) -> T:
        """The answer. Raises Unavailable without one, answers.Refused when the venue did not take the question."""
        try:
            return self._line.exchange(kind, fields, read)
        except (NotSent, NoAnswer, Unreadable) as e:
            raise Unavailable(f"FXCM did not answer: {e}"[:240]) from e

    def _answered(self, kind: str, fields: fix.Fields, read: Reader[T]) -> T:
        try:
            return self._asked(kind, fields, read)
        except answers.Refused as e:
            raise Unavailable(f"FXCM refuses to answer: {e}"[:240]) from e

    def _row(self, client_id: str) -> Order:
        rows = Order.objects.filter(account=self.account, client_id=client_id).select_related("instrument")
        found = rows.first()
        if found is None:
            raise Unavailable(f"No order of this account is called {client_id}.")
        return found

    def _number(self) -> str:
        return self._wanted or self._line.account or self._collateral().account

    def _collateral(self) -> fix.Collateral:
        """The account at the venue. Raises Unavailable when the login has several and none was named, or another currency."""
        request_id = _request_id("b")
        rows = self._answered(
            fix.COLLATERAL_INQUIRY, fix.collateral(request_id=request_id), answers.of_collateral(request_id)
        )
        found = [row for row in rows if self._wanted in ("", row.account)]
        if len(found) != 1:
            told = ", ".join(row.account for row in rows) or "none"
            raise Unavailable(f"The login has these accounts: {told}. Store the key as user/account number.")
        if found[0].currency not in ("", self.account.currency):
            raise Unavailable(f"FXCM counts in {found[0].currency}, this account in {self.account.currency}.")
        if not self._wanted:
            self._line.account = found[0].account
        return found[0]

    def _status(self, order: Order) -> fix.Report | None:
        request_id = _request_id("s")
        fields = fix.status(
            account=self._number(), request_id=request_id, client_id=order.client_id, symbol=order.instrument.symbol,
            side=order.side,
        )  # fmt: skip
        report = self._answered(fix.STATUS, fields, answers.of_status(request_id, order.client_id))
        if report.venue_id:
            return report
        if report.status == "8" and report.reason == answers.UNKNOWN_ORDER:
            return None
        raise Unavailable(f"FXCM did not say whether it has the order: {report.text}")

    # --- Trades -------------------------------------------------------------------------------------------------

    def _trades(self, order: Order, report: fix.Report) -> tuple[VenueTrade, ...]:
        if fix.TRADES_REQUEST not in self._line.unsupported:
            request_id = _request_id("e")
            fields = fix.trades(account=self._number(), request_id=request_id, venue_id=report.venue_id)
            try:
                rows = self._asked(fix.TRADES_REQUEST, fields, answers.of_trades(request_id))
                mine = [row for row in rows if row.venue_id == report.venue_id]
                return tuple(self._trade(row) for row in sorted(mine, key=lambda row: row.at))
            except answers.Refused as e:
                if not e.is_unsupported:
                    raise Unavailable(f"FXCM does not list the trades: {e}"[:240]) from e
                self._line.unsupported.add(fix.TRADES_REQUEST)
        return self._booked_and_rest(order, report)

    def _trade(self, row: fix.Trade) -> VenueTrade:
        trade_id = f"{row.venue_id}-{row.exec_id}"  # FIX promises an ExecID once a day only
        if len(trade_id) > _LONGEST_TRADE_ID:
            raise Unavailable("FXCM's ids of a trade are too long to be kept.")
        return VenueTrade(
            trade_id=trade_id, quantity=row.quantity, price=row.price, fee=row.fee,
            fee_asset=row.fee_asset or self.account.currency, at=row.at,
        )  # fmt: skip

    def _booked_and_rest(self, order: Order, report: fix.Report) -> tuple[VenueTrade, ...]:
        """For a venue without a list of trades: what is booked, and all that is new as one trade at its average price.

        The id of the new one says where it begins. Of two processes that see different amounts only one can book that
        beginning, and whoever looks next continues from there: nothing is booked twice.
        """
        rows = Fill.objects.filter(account=self.account, order=order).order_by("pk")
        known = tuple(
            VenueTrade(
                trade_id=row.trade_id, quantity=row.quantity, price=row.price, fee=row.fee, fee_asset=row.fee_asset,
                at=row.at,
            )
            for row in rows
        )  # fmt: skip
        booked = sum((row.quantity for row in known), ZERO)
        rest = report.filled - booked
        if rest <= 0 or report.at is None:
            return known
        worth = report.average * report.filled - sum((row.quantity * row.price for row in known), ZERO)
        price = report.average if not known else (worth / rest).quantize(answers.PRICE_STEP)
        new = VenueTrade(
            trade_id=f"{report.venue_id}@{booked:f}", quantity=rest, price=price, fee=ZERO,
            fee_asset=self.account.currency, at=report.at,
        )  # fmt: skip
        return (*known, new)


def _order(report: fix.Report, client_id: str, trades: tuple[VenueTrade, ...]) -> VenueOrder:
    """Raises Unavailable for a status nobody knows."""
    word = answers.status_word(report)
    if word is None or report.at is None:
        raise Unavailable(f"An order of FXCM cannot be read: status {report.status!r}.")
    return VenueOrder(
        client_id=client_id, venue_id=report.venue_id, symbol=report.symbol, status=word, quantity=report.quantity,
        filled_quantity=report.filled, accepted_at=report.at, trades=trades,
    )  # fmt: skip


def _request_id(kind: str) -> str:
    return f"{kind}{uuid.uuid4().hex[:20]}"
