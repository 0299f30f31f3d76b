"""Runs newest first, without sorting all of them for a page."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("orchestrator", "0003_decision_decision_last_seen"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="run",
            index=models.Index(fields=["-slot_at", "-id"], name="run_timeline"),
        ),
    ]
