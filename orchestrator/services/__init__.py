"""Writes of the orchestrator: each function checks, changes in one transaction and audits."""
