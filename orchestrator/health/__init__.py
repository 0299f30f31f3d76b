"""Checks collect facts, findings are drawn from facts, remedies are few, bounded and audited."""
