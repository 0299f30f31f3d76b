"""The ground floor: clock, exact numbers, errors, transitions, audit log, alerts, tokens, API conventions."""
