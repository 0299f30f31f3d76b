"""Back office: look at market data. Candles are only written by services, so they are read-only here."""

from django.contrib import admin
from django.http import HttpRequest

from assets.markets.models import CalendarDay, FeedState, Instrument, Quote, RateBudget, RejectedCandle


class ReadOnly(admin.ModelAdmin):
    """Nothing can be added, changed or deleted."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj=None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj=None) -> bool:
        return False


@admin.register(Instrument)
class InstrumentAdmin(ReadOnly):
    list_display = ("symbol", "asset_type", "venue", "calendar", "timeframe", "is_active", "is_demo")
    list_filter = ("asset_type", "venue", "is_active", "is_demo")
    search_fields = ("symbol", "name")


@admin.register(RejectedCandle)
class RejectedCandleAdmin(ReadOnly):
    list_display = ("instrument", "timeframe", "reason", "source", "line", "received_at")
    list_filter = ("reason", "timeframe")
    list_select_related = ("instrument",)


@admin.register(Quote)
class QuoteAdmin(ReadOnly):
    list_display = ("instrument", "last", "bid", "ask", "at", "received_at")
    list_select_related = ("instrument",)


@admin.register(FeedState)
class FeedStateAdmin(ReadOnly):
    list_display = ("instrument", "feed", "last_ok_at", "last_error", "last_error_at", "rejected_count")
    list_select_related = ("instrument",)


@admin.register(CalendarDay)
class CalendarDayAdmin(ReadOnly):
    list_display = ("calendar", "day", "open_at", "close_at", "is_half_day")
    list_filter = ("calendar", "is_half_day")


@admin.register(RateBudget)
class RateBudgetAdmin(ReadOnly):
    list_display = ("venue", "used", "limit", "window_s", "blocked_until")
