"""Pages about workflows, runs, decisions, the switch and health."""
