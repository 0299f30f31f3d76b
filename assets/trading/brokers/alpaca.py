"""Alpaca (US shares and funds) through alpaca-py's signed calls. Orders are good for the day and are sent once, ever.

Alpaca refuses no stale requests, so an order whose fate is unknown is never sent again: it is looked up by our id. Only a
4xx with a code or words from the whitelists counts as rejected; whatever else goes wrong after sending is unknown, for an
order may be accepted and its answer lost or garbled.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any, Final
from uuid import UUID

from django.conf import settings

from assets.markets import conf as market_conf
from assets.markets import ratelimit
from assets.markets.feeds.alpaca_client import DEADLINE_S, Line, TooLate, blocked_until, text_of, time_of
from assets.trading.brokers import venue_keys
from assets.trading.brokers.alpaca_answers import (
    ENDED,
    NO_SUCH_ORDER,
    OPEN,
    UNREADABLE,
    NoAnswer,
    Refusal,
    judged,
    refusal_of,
)
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
from assets.trading.models import Account
from tradingsite.foundation import clock
from tradingsite.foundation.errors import Unavailable
from tradingsite.foundation.money import to_decimal

VENUE: Final = "alpaca"
LIMIT: Final = ratelimit.Limit(180, 60)  # it allows 200 a minute and account
HOURS_DEADLINE_S: Final = 2.0
"""The question whether the market is open stands between the last look at the switch and the order: it must be short."""
ORDERS_A_PAGE: Final = 500
FILLS_A_PAGE: Final = 100
_LONGEST_CHAIN: Final = 20
_MOST_PAGES: Final = 50

CAPABILITIES: Final = Capabilities(
    order_types=frozenset({"market", "limit"}),
    supports_lookup=True,
    refuses_stale=False,
    quarantine=timedelta(seconds=DEADLINE_S) + timedelta(seconds=5),  # the longest call, margin
    max_client_id=48,
)


def connect(account: Account) -> AlpacaBroker:
    """The broker of an account with the key that is stored for it. Raises NotFound without one, Undecryptable."""
    key, secret = venue_keys.read(account)
    return AlpacaBroker(account, key=key, secret=secret)


class AlpacaBroker:
    """One account. `uses_paper`: Alpaca's paper endpoint, unless the account is live and the server's owner said so."""

    def __init__(self, account: Account, *, key: str, secret: str, url: str | None = None) -> None:
        self.account = account
        self.capabilities = CAPABILITIES
        self.uses_paper = account.mode != Account.Mode.LIVE or settings.ALPACA_PAPER is not False
        self._key, self._secret = key, secret
        self._url = market_conf.read().alpaca_url if url is None else url
        self._line = Line(self._client)
        self._closes_at: datetime | None = None
        _configure()

    # --- Orders -------------------------------------------------------------------------------------------------

    def prepare(self) -> Rejected | None:
        """Make the client, ask for the hours, count an order: what may take a while must not keep a claimed one waiting."""
        self._line.ready()
        now = clock.now()
        refusal = self._closed_door(now)
        if refusal is None:
            ratelimit.spend(VENUE, 1, now)  # counted; an order is never held back for the budget of reads
        return refusal

    def _closed_door(self, now: datetime) -> Rejected | None:
        """Why nothing may leave now. Outside its hours Alpaca would keep an order for the next opening, long after we
        stopped wanting it.
        """
        until = ratelimit.blocked_until(VENUE, now)
        if until is not None:
            return Rejected(code="rate_limited", message=f"The venue refuses us until {until:%H:%M:%S} UTC.")
        try:
            return None if self._is_open(now) else Rejected(code="market_closed")
        except Unavailable as e:
            return Rejected(code="venue_silent", message=f"Nothing was sent: {e.message}")

    def place(self, request: OrderRequest) -> Accepted | Rejected | Unknown:
        """Send once. What never left (a broken filter, a block, a closed market, too late) is a rejection, too."""
        code = filter_failure(request)
        refusal = Rejected(code=code) if code else self._closed_door(clock.now())
        if refusal is not None:
            return refusal
        try:
            answer = self._call("post", "/orders", _order_parameters(request), is_late=request.is_late)
        except TooLate:
            return Rejected(code="too_late")
        except NoAnswer as e:
            return Unknown(reason=str(e))
        except Refusal as e:
            return judged(e)
        try:
            if answer["client_order_id"] != request.client_id:
                return Unknown(reason="an answer about another order")
            return Accepted(venue_id=str(UUID(answer["id"])), at=time_of(answer["submitted_at"]))
        except UNREADABLE as e:
            return Unknown(reason=f"an answer without order id or time: {type(e).__name__}")

    def cancel(self, client_id: str) -> bool:
        """True when the venue says it is cancelled: its answer to the request only says that it will try."""
        chain = self._chain(client_id)
        if not chain or chain[-1].get("status") not in OPEN:
            return False
        path = f"/orders/{_id_of(chain[-1])}"
        try:
            self._read("delete", path, None)
            row = self._read("get", path, {})
        except Refusal:
            return False
        return isinstance(row, dict) and row.get("status") == "canceled"

    def fetch_order(self, client_id: str) -> VenueOrder | None:
        chain = self._chain(client_id)
        return self._order(chain, with_trades=True) if chain else None

    def open_orders(self) -> tuple[VenueOrder, ...]:
        rows: list[dict[str, Any]] = []
        query: dict[str, Any] = {
            "status": "open",
            "limit": ORDERS_A_PAGE,
            "direction": "asc",
            "nested": "false",
        }
        for _page in range(_MOST_PAGES):
            page = self._listed("/orders", query)
            rows += page
            if len(page) < ORDERS_A_PAGE:
                return tuple(self._order([*self._origin(row), row], with_trades=False) for row in rows)
            query = query | {"after_order_id": _id_of(page[-1])}
        raise Unavailable("Alpaca's list of open orders does not end.")

    def balances(self) -> dict[str, Decimal]:
        account, positions = self._asked("/account", {}), self._listed("/positions", {})
        try:
            held = {str(row["symbol"]): to_decimal(row["qty"]) for row in positions}
            held[str(account["currency"])] = to_decimal(account["cash"])
        except UNREADABLE as e:
            raise Unavailable("Alpaca's account answer cannot be read.") from e
        return {asset: amount for asset, amount in held.items() if amount}

    # --- About the key and the clock ----------------------------------------------------------------------------

    def permissions(self) -> Permissions:
        """What the key may do: Alpaca's keys have no rights of their own, so this is what the account may do.

        Money leaves an account only through its crypto wallet; keys cannot be bound to addresses.
        """
        answer = self._asked("/account", {})
        try:
            return Permissions(
                can_read=True,
                can_trade=answer["status"] == "ACTIVE"
                and all(answer[name] is False for name in ("trading_blocked", "account_blocked", "trade_suspended_by_user")),
                can_withdraw=not self.uses_paper
                and answer["transfers_blocked"] is not True
                and answer.get("crypto_status", "INACTIVE") != "INACTIVE",
                is_ip_restricted=False,
            )  # fmt: skip
        except UNREADABLE as e:
            raise Unavailable("Alpaca's answer about the account cannot be read.") from e

    def clock_offset(self) -> timedelta:
        """The venue's clock minus ours, measured against the middle of the call."""
        before = clock.now()
        answer = self._asked("/clock", {})
        after = clock.now()
        try:
            return time_of(answer["timestamp"]) - (before + (after - before) / 2)
        except UNREADABLE as e:
            raise Unavailable("Alpaca's time cannot be read.") from e

    def _is_open(self, now: datetime) -> bool:
        """Whether the market is open as the venue sees it; asked again only after the close it announced."""
        if self._closes_at is not None and now < self._closes_at:
            return True
        answer = self._asked("/clock", {}, deadline_s=HOURS_DEADLINE_S)
        try:
            if answer["is_open"] is not True:
                return False
            self._closes_at = time_of(answer["next_close"])
        except UNREADABLE as e:
            raise Unavailable("Alpaca's market clock cannot be read.") from e
        return now < self._closes_at

    # --- How a call is made -------------------------------------------------------------------------------------

    def _client(self) -> Any:
        from alpaca.trading.client import TradingClient

        return TradingClient(
            self._key, self._secret, paper=self.uses_paper, raw_data=True, url_override=self._url or None
        )

    def _one(self, path: str, query: dict[str, Any]) -> dict[str, Any] | None:
        """An order; None only when the venue says that it has none."""
        try:
            row = self._read("get", path, query)
        except Refusal as e:
            if (e.status, e.code) == (404, NO_SUCH_ORDER):
                return None
            raise Unavailable(f"Alpaca did not say whether it has the order: {e.text}") from e
        if not isinstance(row, dict):
            raise Unavailable("Alpaca gave no order.")
        return row

    def _asked(self, path: str, query: dict[str, Any], *, deadline_s: float = 0) -> Any:
        try:
            return self._read("get", path, query, deadline_s=deadline_s)
        except Refusal as e:
            raise Unavailable(f"Alpaca refuses to answer: {e.text}") from e

    def _listed(self, path: str, query: dict[str, Any]) -> list[dict[str, Any]]:
        answer = self._asked(path, query)
        if not isinstance(answer, list) or not all(isinstance(row, dict) for row in answer):
            raise Unavailable("Alpaca gave no list.")
        return answer

    def _read(self, method: str, path: str, query: Any, *, deadline_s: float = 0) -> Any:
        if not ratelimit.spend(VENUE, 1, clock.now()):
            raise Unavailable("The request budget for Alpaca is spent, or it has blocked us.")
        try:
            return self._call(method, path, query, deadline_s=deadline_s)
        except NoAnswer as e:
            raise Unavailable(f"Alpaca did not answer: {e}") from e

    def _call(
        self,
        method: str,
        path: str,
        data: Any,
        *,
        deadline_s: float = 0,
        is_late: Callable[[], bool] | None = None,
    ) -> Any:
        deadline_s = deadline_s or DEADLINE_S
        try:
            answer = self._line.call(method, path, data, deadline_s=deadline_s, is_late=is_late)
        except TooLate:
            raise
        except TimeoutError as e:
            raise NoAnswer(f"no answer within {deadline_s:g} s") from e
        except Exception as e:
            # Of whatever class: after sending, an error of the library says nothing about the order.
            raise self._reading_of(e) from e
        is_done = method == "delete" and self._line.wire.status == 204
        if not is_done and (self._line.wire.status != 200 or not isinstance(answer, dict | list)):
            raise NoAnswer("an answer that is no document")
        return answer

    def _reading_of(self, error: Exception) -> Refusal | NoAnswer:
        """What an error of alpaca-py says about the venue: its own code and words when it answered, else nothing."""
        status = self._line.wire.status
        if not 400 <= status < 500:
            return NoAnswer(type(error).__name__)
        if status == 429:
            now = clock.now()
            ratelimit.block(VENUE, blocked_until(self._line.wire.headers, now))
        return refusal_of(error, status, (self._secret, self._key))

    # --- Reading ------------------------------------------------------------------------------------------------

    def _chain(self, client_id: str) -> list[dict[str, Any]]:
        """The order and what replaced it, the living one last; empty when the venue has none."""
        row = self._one("/orders:by_client_order_id", {"client_order_id": client_id})
        if row is None:
            return []
        if row.get("client_order_id") != client_id:
            raise Unavailable("Alpaca answered about another order.")
        chain = [row]
        while chain[-1].get("status") == "replaced":
            chain.append(self._linked(chain, "replaced_by"))
        return chain

    def _origin(self, row: dict[str, Any]) -> list[dict[str, Any]]:
        """What an order replaced, the first one first: that one carries our id."""
        chain = [row]
        while chain[0].get("replaces"):
            chain.insert(0, self._linked(chain[::-1], "replaces"))
        return chain[:-1]

    def _linked(self, chain: list[dict[str, Any]], name: str) -> dict[str, Any]:
        try:
            path = f"/orders/{UUID(chain[-1][name])}"
        except UNREADABLE as e:
            raise Unavailable("Alpaca does not say what replaced an order.") from e
        found = self._one(path, {}) if len(chain) < _LONGEST_CHAIN else None
        if found is None:
            raise Unavailable("Alpaca's chain of replaced orders has no end.")
        return found

    def _order(self, chain: list[dict[str, Any]], *, with_trades: bool) -> VenueOrder:
        first, last = chain[0], chain[-1]
        try:
            status, amounts = str(last["status"]), [to_decimal(row["filled_qty"]) for row in chain]
            filled = amounts[-1]
            trades: tuple[VenueTrade, ...] = ()
            if with_trades and any(amounts):
                trades = self._trades(chain)
                filled = _claimed(amounts, sum((trade.quantity for trade in trades), Decimal(0)))
            return VenueOrder(
                client_id=str(first["client_order_id"]), venue_id=_id_of(first), symbol=str(last["symbol"]),
                status="open" if status in OPEN else ENDED[status],
                # An order in money (made by hand) has no quantity before it is filled.
                quantity=filled if last["qty"] is None else to_decimal(last["qty"]),
                filled_quantity=filled, accepted_at=time_of(first["submitted_at"]), trades=trades,
            )  # fmt: skip
        except UNREADABLE as e:
            raise Unavailable(f"An order of Alpaca cannot be read: {type(e).__name__}: {e}") from e

    def _trades(self, chain: list[dict[str, Any]]) -> tuple[VenueTrade, ...]:
        """Executions of these orders. Alpaca lists them by time only, so the rest of the account's is passed over.

        Funds are free of commission; the authorities' fees come at the end of the day, for the account as a whole.
        """
        ids, found = {_id_of(row) for row in chain}, []
        query: dict[str, Any] = {
            "after": text_of(time_of(chain[0]["submitted_at"]) - timedelta(minutes=1)),
            "direction": "asc", "page_size": FILLS_A_PAGE,
        }  # fmt: skip
        if chain[-1]["status"] in ENDED:
            query["until"] = text_of(time_of(chain[-1]["updated_at"]) + timedelta(hours=1))
        for _page in range(_MOST_PAGES):
            page = self._listed("/account/activities/FILL", query)
            found += [row for row in page if row["order_id"] in ids]
            if len(page) < FILLS_A_PAGE:
                return tuple(self._trade(row) for row in found)
            query = query | {"page_token": page[-1]["id"]}
        raise Unavailable("Alpaca's list of executions does not end.")

    def _trade(self, row: dict[str, Any]) -> VenueTrade:
        return VenueTrade(
            trade_id=str(row["id"]), quantity=to_decimal(row["qty"]), price=to_decimal(row["price"]), fee=Decimal(0),
            fee_asset=self.account.currency, at=time_of(row["transaction_time"]),
        )  # fmt: skip


@cache
def _configure() -> None:
    """Once a process: it writes."""
    ratelimit.configure(VENUE, LIMIT)


def _claimed(amounts: list[Decimal], told: Decimal) -> Decimal:
    """What is filled, of an order and those that replaced it: a replacement may count what its predecessor had filled, or
    begin at nothing. `told` is what the list of executions has; that list may lag behind, and is not believed then.
    """
    claims = sorted({amounts[-1], sum(amounts, Decimal(0))})
    return next((claim for claim in claims if claim >= told), claims[-1])


def _id_of(row: dict[str, Any]) -> str:
    try:
        return str(UUID(row["id"]))
    except UNREADABLE as e:
        raise Unavailable("An order of Alpaca has no id.") from e


def _order_parameters(request: OrderRequest) -> dict[str, str]:
    parameters = {
        "symbol": request.symbol,
        "side": request.side,
        "type": "market" if request.limit_price is None else "limit",
        "qty": f"{request.quantity:f}",
        "time_in_force": "day",  # the only one for parts of a share, and nothing of ours lives overnight
        "client_order_id": request.client_id,
    }
    if request.limit_price is not None:
        parameters["limit_price"] = f"{request.limit_price:f}"
    return parameters
