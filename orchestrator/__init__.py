"""WHEN: decides when a workflow is worth running, runs it, watches it, heals it, learns from it."""
