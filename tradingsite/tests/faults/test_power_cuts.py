"""F92: power cuts. POWER_CUTS says how many, FAULT_SEED which."""

from __future__ import annotations

import os

import pytest

from tradingsite.tests.faults import harness, power_cuts

CUTS = int(os.environ.get("POWER_CUTS", "20"))


@pytest.mark.timeout(120 + CUTS * 60 * harness.SLACK)
def test_power_cuts_at_random_instants_break_no_invariant() -> None:
    tally = power_cuts.run(CUTS, int(os.environ.get("FAULT_SEED", "1")))
    harness.report(
        "power cuts", cuts=tally.cuts, ready_max_s=round(max(tally.ready_s), 1), violations=tally.violations
    )
    assert tally.violations == []
