"""Binance spot through ccxt's signed calls. Numbers stay text until they are Decimals; nothing is ever sent twice.

Only a refusal with a code on the whitelist, told with a 4xx, counts as rejected. A timeout, a cut line, a 5xx and any
answer that cannot be read are unknown, whatever class ccxt raises for them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as DeadlineExceeded
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import ccxt

from assets.markets import conf as market_conf
from assets.markets import ratelimit
from assets.markets.feeds.binance_client import redirect
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
)
from assets.trading.models import Account, Order
from tradingsite.foundation import clock
from tradingsite.foundation.errors import Unavailable
from tradingsite.foundation.money import to_decimal

VENUE: Final = "binance"
RECEIVE_WINDOW_MS: Final = 5000
DEADLINE_S: Final = 8.0  # for a whole call; afterwards its outcome is unknown
_NO_SUCH_ORDER: Final = -2013
_DUPLICATE: Final = "Duplicate order sent"

# What each code proves: the venue does not have the order and never will. Everything else proves nothing.
DEFINITIVE: Final[Mapping[int, str]] = {
    -1002: "unauthorised", -1003: "rate_limited", -1013: "filter", -1014: "unknown_composition", -1015: "too_many_orders",
    -1021: "outside_receive_window", -1022: "bad_signature", -1100: "illegal_characters", -1101: "too_many_parameters",
    -1102: "parameter_missing", -1103: "unknown_parameter", -1104: "unread_parameters", -1105: "parameter_empty",
    -1106: "parameter_not_required", -1111: "precision", -1112: "no_depth", -1115: "bad_time_in_force",
    -1116: "bad_order_type", -1117: "bad_side", -1118: "client_id_empty", -1119: "client_id_empty", -1121: "bad_symbol",
    -2010: "refused", -2014: "bad_key", -2015: "bad_key",
}  # fmt: skip

CAPABILITIES: Final = Capabilities(
    order_types=frozenset({"market", "limit"}),
    supports_lookup=True,
    refuses_stale=True,  # its receive window: a request older than that is refused
    quarantine=timedelta(milliseconds=RECEIVE_WINDOW_MS) + timedelta(seconds=3),  # window, clock skew, margin
    max_client_id=36,
)
_UNREADABLE: Final = (KeyError, TypeError, ValueError, OverflowError)  # InvalidNumber is a ValueError
_OPEN: Final = {"NEW", "PENDING_NEW", "PARTIALLY_FILLED", "PENDING_CANCEL"}
_ENDED: Final = {
    "FILLED": "filled", "CANCELED": "cancelled", "REJECTED": "rejected", "EXPIRED": "expired",
    "EXPIRED_IN_MATCH": "expired",
}  # fmt: skip


class _NoAnswer(Exception):
    """Nothing is known about what the venue did."""


class _Refusal(Exception):
    """The venue answered with an error. `status` is HTTP's, `code` its own (0: none could be read)."""

    def __init__(self, status: int, code: int, text: str) -> None:
        super().__init__(text)
        self.status, self.code, self.text = status, code, text


class _Exchange(ccxt.binance):  # type: ignore[misc] # ccxt's classes are untyped
    """ccxt's client that remembers the status of its last answer."""

    last_status = 0

    def on_rest_response(self, code: int, *args: Any, **named: Any) -> Any:
        self.last_status = code
        return super().on_rest_response(code, *args, **named)


def connect(account: Account) -> BinanceBroker:
    """The broker of an account with the key that is stored for it. Raises NotFound without one, Undecryptable."""
    key, secret = venue_keys.read(account)
    return BinanceBroker(account, key=key, secret=secret)


class BinanceBroker:
    """One spot account."""

    def __init__(self, account: Account, *, key: str, secret: str, url: str | None = None) -> None:
        self.account = account
        self.capabilities = CAPABILITIES
        self._key, self._secret = key, secret
        self._url = market_conf.read().binance_url if url is None else url
        self._client: Any = None
        self._worker: ThreadPoolExecutor | None = None

    # --- Orders -------------------------------------------------------------------------------------------------

    def prepare(self) -> Rejected | None:
        """Count an order and make the client: both may take a while, and an order that is claimed must not wait."""
        self._connect()
        now = clock.now()
        refusal = self._blocked(now)
        if refusal is None:
            ratelimit.spend(VENUE, 1, now)  # counted; an order is never held back for the budget of reads
        return refusal

    def _blocked(self, now: datetime) -> Rejected | None:
        until = ratelimit.blocked_until(VENUE, now)
        if until is None:
            return None
        return Rejected(code="rate_limited", message=f"The venue refuses us until {until:%H:%M:%S} UTC.")

    def place(self, request: OrderRequest) -> Accepted | Rejected | Unknown:
        """Send once. A call that never left (the venue has blocked us) is a rejection, too.

        It is signed with the time of the claim: whatever keeps it on its way, the venue refuses it when that is over.
        """
        refusal = self._blocked(clock.now())
        if refusal is not None:
            return refusal
        try:
            answer = self._call("privatePostOrder", _order_parameters(request))
        except _NoAnswer as e:
            return Unknown(reason=str(e))
        except _Refusal as e:
            return _judged(e)
        try:
            return Accepted(venue_id=str(int(answer["orderId"])), at=_time(answer["transactTime"]))
        except _UNREADABLE as e:
            return Unknown(reason=f"an answer without order id or time: {type(e).__name__}")

    def cancel(self, client_id: str) -> bool:
        """True when the venue says it is cancelled. An order it no longer has open is looked up by the caller."""
        parameters = {"symbol": self._symbol(client_id), "origClientOrderId": client_id}
        now = clock.now()
        if self._blocked(now) is not None:
            raise Unavailable("Binance has blocked us; nothing was asked.")
        try:
            answer = self._call("privateDeleteOrder", parameters)
        except _NoAnswer as e:
            raise Unavailable(f"Binance did not answer: {e}") from e
        except _Refusal:
            return False
        finally:
            ratelimit.spend(VENUE, 1, now)  # counted; a cancel is never held back for the budget of reads
        return isinstance(answer, dict) and answer.get("status") == "CANCELED"

    def fetch_order(self, client_id: str) -> VenueOrder | None:
        parameters = {"symbol": self._symbol(client_id), "origClientOrderId": client_id}
        try:
            row = self._read("privateGetOrder", parameters, weight=4)
        except _Refusal as e:
            if e.code == _NO_SUCH_ORDER:
                return None
            raise Unavailable(f"Binance did not say whether it has the order: {e.text}") from e
        return self._order(row, with_trades=True)

    def open_orders(self) -> tuple[VenueOrder, ...]:
        rows = self._listed("privateGetOpenOrders", {}, weight=80)
        return tuple(self._order(row, with_trades=False) for row in rows)

    def balances(self) -> dict[str, Decimal]:
        answer = self._asked("privateGetAccount", {"omitZeroBalances": "true"}, weight=20)
        try:
            held = {
                str(row["asset"]): to_decimal(row["free"]) + to_decimal(row["locked"])
                for row in answer["balances"]
            }
        except _UNREADABLE as e:
            raise Unavailable("Binance's account answer cannot be read.") from e
        return {asset: amount for asset, amount in held.items() if amount}

    # --- About the key and the clock ----------------------------------------------------------------------------

    def permissions(self) -> Permissions:
        """What the key may do. Raises Unavailable without a clear answer."""
        answer = self._asked("sapiGetAccountApiRestrictions", {}, weight=1)
        try:
            return Permissions(
                can_read=answer["enableReading"] is True,
                can_trade=answer["enableSpotAndMarginTrading"] is True,
                can_withdraw=answer["enableWithdrawals"] is not False,
                is_ip_restricted=answer["ipRestrict"] is True,
            )
        except _UNREADABLE as e:
            raise Unavailable("Binance's answer about the key cannot be read.") from e

    def clock_offset(self) -> timedelta:
        """The venue's clock minus ours, measured against the middle of the call."""
        before = clock.now()
        answer = self._asked("publicGetTime", {}, weight=1)
        after = clock.now()
        try:
            return _time(answer["serverTime"]) - (before + (after - before) / 2)
        except _UNREADABLE as e:
            raise Unavailable("Binance's time cannot be read.") from e

    # --- How a call is made -------------------------------------------------------------------------------------

    def _asked(self, method: str, parameters: dict[str, Any], *, weight: int) -> Any:
        try:
            return self._read(method, parameters, weight=weight)
        except _Refusal as e:
            raise Unavailable(f"Binance refuses to answer: {e.text}") from e

    def _listed(self, method: str, parameters: dict[str, Any], *, weight: int) -> list[Any]:
        answer = self._asked(method, parameters, weight=weight)
        if not isinstance(answer, list):
            raise Unavailable("Binance gave no list.")
        return answer

    def _read(self, method: str, parameters: dict[str, Any], *, weight: int) -> Any:
        now = clock.now()
        if not ratelimit.spend(VENUE, weight, now):
            raise Unavailable("The request budget for Binance is spent, or it has blocked us.")
        try:
            return self._call(method, parameters)
        except _NoAnswer as e:
            raise Unavailable(f"Binance did not answer: {e}") from e

    def _call(self, method: str, parameters: dict[str, Any]) -> Any:
        client = self._connect()
        client.last_status = 0
        if self._worker is None:
            self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="binance-broker")
        future = self._worker.submit(getattr(client, method), parameters)
        try:
            answer = future.result(timeout=DEADLINE_S)
        except DeadlineExceeded as e:
            self._worker.shutdown(wait=False, cancel_futures=True)
            self._worker = self._client = None
            raise _NoAnswer(f"no answer within {DEADLINE_S:g} s") from e
        except ccxt.BaseError as e:
            self._note_refusal(client)
            raise _reading_of(e, client) from e
        if client.last_status != 200 or not isinstance(answer, dict | list):
            raise _NoAnswer("an answer that is no document")
        return answer

    def _note_refusal(self, client: Any) -> None:
        if client.last_status in (418, 429):
            headers = {
                str(name).lower(): str(value) for name, value in (client.last_response_headers or {}).items()
            }
            wait = headers.get("retry-after", "")
            pause = timedelta(seconds=int(wait) if wait.isdigit() else 60)
            ratelimit.block(VENUE, clock.now() + min(max(pause, timedelta(seconds=1)), timedelta(days=3)))

    def _connect(self) -> Any:
        if self._client is None:
            client = _Exchange(
                {
                    "apiKey": self._key,
                    "secret": self._secret,
                    "timeout": int(DEADLINE_S * 2000),  # for each read; the deadline for the whole call is ours
                    "enableRateLimit": False,  # the budget is shared by all processes, see ratelimit
                    "options": {
                        "defaultType": "spot", "recvWindow": RECEIVE_WINDOW_MS, "adjustForTimeDifference": False,
                        "maxRetriesOnFailure": 0, "fetchMarkets": {"types": ["spot"]}, "fetchCurrencies": False,
                        "fetchMargins": False,
                    },
                }
            )  # fmt: skip
            redirect(client.urls["api"], self._url)
            # More than none would send an order twice.
            assert client.options["maxRetriesOnFailure"] == 0
            self._client = client
        return self._client

    # --- Reading ------------------------------------------------------------------------------------------------

    def _symbol(self, client_id: str) -> str:
        found = (
            Order.objects.filter(account=self.account, client_id=client_id)
            .values_list("instrument__symbol", flat=True)
            .first()
        )
        if found is None:
            raise Unavailable(f"No order of this account is called {client_id}.")
        return str(found)

    def _order(self, row: Any, *, with_trades: bool) -> VenueOrder:
        try:
            status = str(row["status"])
            venue_id, symbol = str(int(row["orderId"])), str(row["symbol"])
            filled = to_decimal(row["executedQty"])
            trades = self._trades(symbol, venue_id) if with_trades and filled else ()
            return VenueOrder(
                client_id=str(row["clientOrderId"]), venue_id=venue_id, symbol=symbol,
                status="open" if status in _OPEN else _ENDED[status], quantity=to_decimal(row["origQty"]),
                filled_quantity=filled, accepted_at=_time(row["time"]), trades=trades,
            )  # fmt: skip
        except _UNREADABLE as e:
            raise Unavailable(f"An order of Binance cannot be read: {type(e).__name__}: {e}") from e

    def _trades(self, symbol: str, venue_id: str) -> tuple[VenueTrade, ...]:
        rows = self._listed("privateGetMyTrades", {"symbol": symbol, "orderId": venue_id}, weight=5)
        return tuple(
            VenueTrade(
                trade_id=f"{symbol}-{int(row['id'])}", quantity=to_decimal(row["qty"]), price=to_decimal(row["price"]),
                fee=to_decimal(row["commission"]), fee_asset=str(row["commissionAsset"]), at=_time(row["time"]),
            )
            for row in rows
        )  # fmt: skip


def _order_parameters(request: OrderRequest) -> dict[str, str]:
    parameters = {
        "symbol": request.symbol,
        "side": request.side.upper(),
        "type": "MARKET" if request.limit_price is None else "LIMIT",
        "quantity": f"{request.quantity:f}",
        "newClientOrderId": request.client_id,
        "newOrderRespType": "RESULT",
        "timestamp": str(int(request.sent_at.timestamp() * 1000)),  # takes the place of the client's own
    }
    if request.limit_price is not None:
        parameters |= {"price": f"{request.limit_price:f}", "timeInForce": "GTC"}
    return parameters


def _judged(refusal: _Refusal) -> Rejected | Unknown:
    """Rejected only with a 4xx and a code that proves it. "Duplicate" proves the opposite: an order is there."""
    word = DEFINITIVE.get(refusal.code)
    if word is None or not 400 <= refusal.status < 500 or _DUPLICATE in refusal.text:
        return Unknown(reason=f"HTTP {refusal.status}: {refusal.text}"[:200])
    return Rejected(code=word, message=refusal.text)


def _reading_of(error: Exception, client: Any) -> _Refusal | _NoAnswer:
    """What an exception of ccxt says about the venue: the venue's own code and words when it answered, else nothing.

    ccxt's texts leave out the code for some errors, and its classes do not tell refused from unknown.
    """
    status = client.last_status
    if not 400 <= status < 500:
        return _NoAnswer(type(error).__name__)
    try:
        document = json.loads(client.last_http_response)
        return _Refusal(
            status, int(document["code"]), str(document["msg"]).replace(client.secret, "***")[:200]
        )
    except _UNREADABLE:
        return _Refusal(status, 0, type(error).__name__)


def _time(milliseconds: Any) -> datetime:
    return datetime.fromtimestamp(int(milliseconds) / 1000, UTC)
