"""Executions newest first, without sorting all of them for a page."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("trading", "0003_order_order_finished"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="fill",
            index=models.Index(fields=["-at", "-id"], name="fill_timeline"),
        ),
    ]
