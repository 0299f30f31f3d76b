"""What a replay says about itself, read from the rows it left."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from decimal import Decimal
from typing import Any

from assets.trading.selectors import replay as trading
from orchestrator.selectors import replay as orchestrator
from tradingsite.foundation import invariants


def build(
    *, start: datetime, end: datetime, wall_s: float, executor: str, seed: int, candles: int
) -> dict[str, Any]:
    """The document `manage.py replay --json` prints. Times ISO 8601 UTC, money as strings."""
    simulated_s = (end - start).total_seconds()
    checked = invariants.run(end)
    return {
        "from": _iso(start),
        "to": _iso(end),
        "wall_s": round(wall_s, 3),
        "speedup": round(simulated_s / wall_s, 1) if wall_s > 0 else None,
        "executor": executor,
        "seed": seed,
        "candles": candles,
        "decisions": orchestrator.decision_count(),
        "runs": orchestrator.run_counts(),
        "intervals": orchestrator.interval_summary(),
        "orders": trading.order_count(),
        "denied": trading.denial_counts(),
        "fills": trading.fill_count(),
        "equity": trading.equity_by_asset_type(end),
        "ledger_imbalance": _plain(trading.ledger_imbalance()),
        "invariants": {r.code: "ok" if r.ok else list(r.violations)[:5] for r in checked},
        "fingerprint": fingerprint(),
    }


def fingerprint() -> str:
    """Equal for two replays that decided, ordered and filled the same."""
    rows = [*orchestrator.fingerprint_rows(), *trading.fingerprint_rows()]
    return hashlib.sha256(json.dumps(rows, default=str).encode()).hexdigest()[:16]


def is_sound(report: dict[str, Any]) -> bool:
    """No broken invariant and not a unit missing."""
    return report["ledger_imbalance"] == "0" and all(state == "ok" for state in report["invariants"].values())


def _iso(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def _plain(amount: Decimal) -> str:
    return format(amount.normalize(), "f") if amount else "0"
