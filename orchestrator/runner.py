"""What a worker does with a run id: claim, run the named steps, close. Also called inline by replay and tests."""

from __future__ import annotations

import logging
import os
import socket
import traceback
from collections.abc import Callable
from typing import Any, TypeVar

from django_q.exceptions import TimeoutException

from orchestrator import plugins
from orchestrator.heart import Heart, NoHeart, heart_of
from orchestrator.models import Run, RunStep
from orchestrator.plugins import RunContext, StepResult, WorkflowType
from orchestrator.services import beats, control, runs
from orchestrator.services.runs import Outcome, StepOutcome
from tradingsite.foundation import clock
from tradingsite.foundation.crash import crash_here
from tradingsite.foundation.errors import ConcurrentChange, DomainError, Locked

log = logging.getLogger(__name__)

T = TypeVar("T")

NOT_CLAIMED = "not_claimed"
SUPERSEDED = "superseded"


class Superseded(Exception):
    """The run may not act any more. `code`: superseded (somebody else has it), deadline, stopped, halted, unreadable.

    A step lets it pass; whatever it has already committed stands.
    """

    def __init__(self, code: str) -> None:
        super().__init__(f"This run may not act any more: {code}.")
        self.code = code


def execute(run_id: int, *, worker: str = "", heart: Heart | None = None) -> str:
    """Run it if it is still to be run. Returns its final status, "not_claimed", or "superseded".

    Timeouts and other signals pass through after the run has been closed; so does nothing else.
    """
    crash_here("before_claim")
    run = runs.claim(run_id, worker or beats.name_of("inline"))
    if run is None:
        return NOT_CLAIMED
    crash_here("after_claim")
    return _Execution(run, plugins.get(run.workflow.type_key), heart or NoHeart()).go()


class _Execution:
    """One claimed run on its way."""

    def __init__(self, run: Run, kind: WorkflowType, heart: Heart) -> None:
        self.run, self.kind, self.heart = run, kind, heart
        self.api_weight = 0
        self.changed = False
        self.summaries: dict[str, Any] = {}
        self.open_step: StepOutcome | None = None
        self._cpu_at_start = clock.current().cpu_s()

    def go(self) -> str:
        try:
            with heart_of(self.heart, self.run.pk, self.run.epoch):
                self._steps()
            self._guard_end()
        except Superseded as e:
            return self._superseded(e)
        except TimeoutException as e:  # the queue's soft timeout, raised by SIGALRM in the middle of a step
            self._close_quietly(runs.time_out, "deadline", e)
            raise
        except (KeyboardInterrupt, SystemExit) as e:
            self._close_quietly(runs.stop_running, "interrupted", e)
            raise
        except Exception as e:  # noqa: BLE001 - a step is foreign code: whatever it raises is recorded on the run
            return self._failed(e)
        crash_here("before_finish")
        return self._close(runs.finish, self._outcome())

    def _steps(self) -> None:
        context = self._context()
        for position, spec in enumerate(self.kind.steps, start=1):
            step = self._begin(position, spec.name)
            self.open_step = StepOutcome(step_id=step.pk)
            result = spec.run(context)
            if position == 1:
                crash_here("mid_run")
            self._note(step, result)

    def _begin(self, position: int, name: str) -> RunStep:
        """Record that a step starts and, with the same write, that the one before is done."""
        done = self.open_step
        try:
            self._guard()
        except Superseded:
            if done is not None:
                self._ours(lambda: runs.step_done(self.run, done, clock.now()))
            raise
        if done is None:
            return self._ours(lambda: runs.begin_step(self.run, position, name, clock.now()))
        return self._ours(lambda: runs.next_step(self.run, done, position, name, clock.now()))

    def _note(self, step: RunStep, result: StepResult) -> None:
        """What the step did; written with the next step or, after the last one, with the end of the run."""
        self.changed = self.changed or result.changed
        self.api_weight += result.api_weight
        self.summaries[step.name] = dict(result.summary)
        self.open_step = StepOutcome(step_id=step.pk, changed=result.changed, summary=result.summary)

    def _context(self) -> RunContext:
        workflow = self.run.workflow
        # Entries follow the switch and the workflow as they are when the run starts; each order asks again.
        return RunContext(
            run_id=self.run.pk, epoch=self.run.epoch, workflow_id=workflow.pk, slug=workflow.slug,
            type_key=workflow.type_key, params=_params(self.kind, workflow.params), now=clock.now(),
            entries_allowed=control.entries_allowed(workflow.pk), guard=self._guard,
        )  # fmt: skip

    def _guard(self) -> None:
        """Raise Superseded unless this run may act now: epoch, deadline, halt and switch are read again."""
        try:
            reason = runs.may_act(self.run.pk, self.run.epoch)
        except Locked as e:
            raise Superseded("unreadable") from e
        if reason:
            raise Superseded(reason)

    def _guard_end(self) -> None:
        """A step that swallowed the soft timeout comes back late: that is no success."""
        deadline = self.run.deadline_at
        if deadline is not None and clock.db_now() > deadline:  # the clock that set it
            raise Superseded("deadline")

    def _superseded(self, error: Superseded) -> str:
        log.warning("run %s: %s", self.run.pk, error)
        if error.code == "superseded":
            return SUPERSEDED
        close = runs.time_out if error.code == "deadline" else runs.stop_running
        return self._close(close, self._outcome(error.code, str(error)))

    def _failed(self, error: Exception) -> str:
        log.exception("run %s failed", self.run.pk)
        code = error.code if isinstance(error, DomainError) else type(error).__name__
        return self._close(runs.fail, self._outcome(code, "".join(traceback.format_exception(error))))

    def _close_quietly(self, close: Callable[..., Run], code: str, error: BaseException) -> None:
        try:
            self._close(close, self._outcome(code, "".join(traceback.format_exception(error))))
        except Exception:  # the process is going down; the sweeper closes what we could not
            log.exception("run %s could not be closed", self.run.pk)

    def _close(self, close: Callable[..., Run], outcome: Outcome) -> str:
        try:
            return str(close(self.run, outcome, clock.now()).status)
        except ConcurrentChange:
            log.warning("run %s was closed by somebody else; our result is refused", self.run.pk)
            return SUPERSEDED

    def _ours(self, write: Callable[[], T]) -> T:
        try:
            return write()
        except ConcurrentChange as e:
            raise Superseded("superseded") from e

    def _outcome(self, code: str = "", detail: str = "") -> Outcome:
        return Outcome(
            changed=self.changed, result=self.summaries, cpu_s=clock.current().cpu_s() - self._cpu_at_start,
            api_weight=self.api_weight, error_code=code, error_detail=detail, last_step=self.open_step,
        )  # fmt: skip


def _params(kind: WorkflowType, stored: dict[str, Any]) -> dict[str, Any]:
    """Stored parameters, completed with the defaults of parameters the type has got since."""
    return {param.name: stored.get(param.name, param.default) for param in kind.params}


def worker_name() -> str:
    """host:pid of this process."""
    return f"{socket.gethostname()[:60]}:{os.getpid()}"
