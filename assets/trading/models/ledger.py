"""The double-entry ledger. A journal's lines sum to exactly zero per asset; triggers refuse edits."""

from __future__ import annotations

from django.db import models

from assets.trading.models.account import Account
from tradingsite.foundation.fields import ExactDecimalField


class LedgerAccount(models.Model):
    """One account of the chart: what kind, in which asset. Kinds: cash, exchange, fees, equity, rounding."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="ledger_accounts")
    kind = models.CharField(max_length=16)
    asset = models.CharField(max_length=16)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("account", "kind", "asset"), name="one_ledger_account_per_kind_and_asset"
            ),
        )


class Journal(models.Model):
    """One posting. `key` makes it happen once; `posted` is set last and locks the lines."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="journals")
    kind = models.CharField(max_length=16)  # opening, fill, transfer, adjustment
    key = models.CharField(max_length=120, unique=True)
    at = models.DateTimeField()
    posted = models.BooleanField(default=False)


class JournalLine(models.Model):
    """Debit positive, credit negative, in units of the ledger account's asset."""

    journal = models.ForeignKey(Journal, on_delete=models.PROTECT, related_name="lines")
    ledger_account = models.ForeignKey(LedgerAccount, on_delete=models.PROTECT, related_name="lines")
    amount = ExactDecimalField()
