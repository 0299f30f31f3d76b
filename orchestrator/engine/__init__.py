"""The pure decision engine: conditions + history + load -> decision with reasons.

Standard library and numpy only. No Django, no I/O, no clock, no global random state.
"""

from __future__ import annotations

from typing import Final

# Stored with every decision. Raise it whenever equal inputs may give another answer.
RULE_VERSION: Final = "1"
