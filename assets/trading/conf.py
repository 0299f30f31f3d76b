"""Numbers of the order path. Durations are timedeltas, `_ratio` is a fraction."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Final

NEW_ORDER_MAX_AGE: Final = timedelta(seconds=120)
"""An order that was committed but not sent (crash) may still be sent this long; later it expires."""

RESEND_BAND_RATIO: Final = Decimal("0.01")
"""... and only while the price is within this fraction of what the decision saw."""

UNKNOWN_ALERT_AFTER: Final = timedelta(seconds=60)
"""An order that may or may not be at the venue for longer than this is a critical alert."""

PARTICIPATION: Final = Decimal("0.1")
"""Share of a bar's volume a paper order may take."""

VALIDITY_BARS: Final = 3
MIN_VALIDITY: Final = timedelta(minutes=5)
"""A market order lives for three bars of its instrument of open market, at least five minutes."""

LIMITS_WINDOW: Final = timedelta(minutes=1)
STOP_GRACE: Final = timedelta(seconds=1)
"""No order may start towards a venue later than this after a stop."""

LOOK_MAX_AGE: Final = timedelta(seconds=1)
"""An order sent later than this after the look at the market looks again: age of the data, opening hours."""
