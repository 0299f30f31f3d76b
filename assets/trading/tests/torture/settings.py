"""Settings of a tortured system: those of the tests, everything it writes in TORTURE_DIR, its venue at TORTURE_VENUE."""

import os
from pathlib import Path

from tradingsite.settings import databases
from tradingsite.settings.test import *  # noqa: F403
from tradingsite.settings.test import CACHES, DATABASES

VAR_DIR = Path(os.environ["TORTURE_DIR"])
HALT_FILE = VAR_DIR / "HALT"
CACHES["default"]["LOCATION"] = str(VAR_DIR / "cache")
if "sqlite" in DATABASES["default"]["ENGINE"]:
    DATABASES["default"] = databases.sqlite(VAR_DIR / "db.sqlite3")
    # Processes are killed, not machines: what is written stays written without an fsync per commit.
    DATABASES["default"]["OPTIONS"]["init_command"] = databases.SQLITE_PRAGMAS.replace("=FULL", "=NORMAL")
LIVE_TRADING_ENABLED = True
BINANCE_URL = os.environ.get("TORTURE_VENUE", "")
