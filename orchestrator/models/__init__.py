"""Tables of the orchestrator. Only services write them."""

from orchestrator.models.control import ControlSwitch, HealthEvent, Lease, ProcessBeat
from orchestrator.models.decision import Decision
from orchestrator.models.run import Run, RunEvent, RunStep
from orchestrator.models.workflow import Workflow, WorkflowEvent, WorkflowRevision

__all__ = [
    "ControlSwitch",
    "Decision",
    "HealthEvent",
    "Lease",
    "ProcessBeat",
    "Run",
    "RunEvent",
    "RunStep",
    "Workflow",
    "WorkflowEvent",
    "WorkflowRevision",
]
