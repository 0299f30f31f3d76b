"""Look, do not touch: money changes only through services, which check, audit and post."""

from __future__ import annotations

from django.contrib import admin

from assets.trading.models import (
    Account,
    Discrepancy,
    EquityPoint,
    Fill,
    Intent,
    Journal,
    JournalLine,
    LedgerAccount,
    LiveApproval,
    Order,
    OrderEvent,
    Position,
    WorkflowApproval,
)


class ReadOnly(admin.ModelAdmin):
    """Lists and details without buttons."""

    list_per_page = 50
    show_full_result_count = False

    def has_add_permission(self, request, obj=None):
        return False

    def has_change_permission(self, request, obj=None):
        return False

    def has_delete_permission(self, request, obj=None):
        return False


@admin.register(Account)
class AccountAdmin(ReadOnly):
    list_display = ("name", "asset_type", "broker", "mode", "state", "currency", "is_demo")


@admin.register(Position)
class PositionAdmin(ReadOnly):
    list_display = ("account", "instrument", "quantity", "cost", "realised", "fees", "updated_at")
    list_select_related = ("account", "instrument")


@admin.register(Order)
class OrderAdmin(ReadOnly):
    list_display = (
        "client_id",
        "instrument",
        "side",
        "quantity",
        "filled_quantity",
        "status",
        "created_at",
    )
    list_filter = ("status", "side")
    list_select_related = ("instrument",)


@admin.register(Intent)
class IntentAdmin(ReadOnly):
    list_display = ("key", "instrument", "side", "quantity", "reduces", "created_at")
    list_select_related = ("instrument",)


@admin.register(Fill)
class FillAdmin(ReadOnly):
    list_display = ("trade_id", "instrument", "side", "quantity", "price", "fee", "fee_asset", "at")
    list_select_related = ("instrument",)


@admin.register(Journal)
class JournalAdmin(ReadOnly):
    list_display = ("key", "account", "kind", "at", "posted")
    list_select_related = ("account",)


@admin.register(JournalLine)
class JournalLineAdmin(ReadOnly):
    list_display = ("journal", "ledger_account", "amount")
    list_select_related = ("journal", "ledger_account")


@admin.register(Discrepancy)
class DiscrepancyAdmin(ReadOnly):
    list_display = ("account", "kind", "subject", "ours", "theirs", "status", "first_seen_at")
    list_select_related = ("account",)


@admin.register(LiveApproval)
class LiveApprovalAdmin(ReadOnly):
    list_display = ("account", "approved_by", "approved_at", "expires_at", "revoked_at", "reason")
    list_select_related = ("account",)


admin.site.register([LedgerAccount, OrderEvent, EquityPoint, WorkflowApproval], ReadOnly)
