"""Pages that belong to no app: overview, login, first-run set-up, settings, help."""
