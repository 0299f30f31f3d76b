"""Passes of reconciliation are numbered, and the comparison of balances has an age of its own."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("trading", "0007_risk"),
    ]

    operations = [
        migrations.AddField(
            model_name="account",
            name="balances_compared_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="account",
            name="reconcile_pass",
            field=models.PositiveIntegerField(default=0),
        ),
    ]
