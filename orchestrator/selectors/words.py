"""Words for codes of the orchestrator that pages show outside of sentences."""

from __future__ import annotations

from typing import Any, Final

from django.utils.translation import gettext_lazy as _

_CAUSES: Final[dict[str, Any]] = {
    "cadence": _("its interval was over"),
    "price_band": _("the price moved"),
    "session_edge": _("a session opened or closed"),
    "stop_near": _("a stop is near"),
    "manual": _("somebody asked"),
    "retry": _("the run before failed"),
    "first": _("it was the first run"),
}


def cause_word(code: str) -> str:
    """Why a run was planned, in a few words; an unknown code as it is."""
    return str(_CAUSES.get(code, code.replace("_", " ")))


_INPUTS: Final[dict[str, Any]] = {
    "subject": _("Workflow"),
    "conditions": _("Market"),
    "exposure": _("At stake"),
    "load": _("Machine"),
    "history": _("History"),
}


_REASONS: Final[dict[str, Any]] = {
    "too_late": _("too late"),
    "stopped": _("trading was stopped"),
    "paused": _("the workflow was paused"),
    "superseded": _("a newer claim took over"),
    "deadline": _("took too long"),
    "worker-lost": _("its worker was lost"),
    "run-interrupted": _("interrupted in the middle"),
    "cancelled": _("cancelled"),
    "code-version": _("planned by another version"),
}


def reason_word(code: str) -> str:
    """Why a run did not succeed, in a few words; an unknown code as it is, with spaces."""
    return str(_REASONS.get(code, code.replace("_", " ").replace("-", " ")))


def input_word(code: str) -> str:
    """What a group of inputs is about."""
    return str(_INPUTS.get(code, code.replace("_", " ").capitalize()))
