"""Market data as JSON: instruments and candles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from django.utils.translation import gettext as _
from rest_framework.request import Request
from rest_framework.response import Response

from assets.markets import timeframes
from assets.markets.selectors import candles, instruments
from tradingsite.foundation import clock
from tradingsite.foundation.api.params import boolean, choice, instant, integer, text
from tradingsite.foundation.api.views import ApiView, ListView, path_both
from tradingsite.foundation.errors import FieldProblem, Invalid


class InstrumentList(ListView):
    """Instruments traded now; `demo` and `active` show the others."""

    params = {"asset_type": text(32), "demo": boolean, "active": boolean, "q": text(32)}
    answers = {"GET": (200, instruments.InstrumentItem)}
    time_field = None

    def rows(self) -> Any:
        return instruments.rows(**self.query)

    def items(self, rows: Sequence[Any]) -> list[Any]:
        return list(instruments.items(rows, clock.now()))


class InstrumentDetail(ApiView):
    """One instrument by its symbol."""

    answers = {"GET": (200, instruments.InstrumentItem)}

    def get(self, request: Request, symbol: str) -> Response:
        return Response(instruments.one(symbol, clock.now()))


class Candles(ApiView):
    """Closed bars of one instrument, in columns, oldest first."""

    params = {
        "instrument": text(32), "tf": choice(*timeframes.NAMES), "limit": integer(1, candles.MOST_BARS),
        "before": instant,
    }  # fmt: skip
    required_params: ClassVar[frozenset[str]] = frozenset({"instrument"})
    answers = {"GET": (200, candles.CandleColumns)}
    errors: ClassVar[Sequence[int]] = (404,)

    def get(self, request: Request) -> Response:
        if "instrument" not in self.query:
            detail = _("instrument: which one? Give a symbol.")
            problem: FieldProblem = {"pointer": "?instrument", "code": "required", "detail": detail}
            raise Invalid(detail, errors=[problem])
        limit = self.query.get("limit", candles.DEFAULT_BARS)
        tf, before = self.query.get("tf", ""), self.query.get("before")
        found = candles.columns(self.query["instrument"], tf, now=clock.now(), limit=limit, before=before)
        return Response(found)


urlpatterns = [
    *path_both("instruments", InstrumentList.as_view(), "instruments"),
    *path_both("instruments/<str:symbol>", InstrumentDetail.as_view(), "instrument"),
    *path_both("candles", Candles.as_view(), "candles"),
    *path_both("market/candles", Candles.as_view(), "market-candles"),
]
