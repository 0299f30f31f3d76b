"""The tick: hold the leader's lease, observe, decide, store what is new, plan runs, ring, sweep.

A tick with nothing new reads four things and writes nothing; every write happens in a transaction that first renews the
lease, so a leader that was replaced cannot write any more.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.db import DatabaseError, transaction

from orchestrator.conf import conf
from orchestrator.engine.cadence import is_hot
from orchestrator.engine.capacity import Demand, shadow_price
from orchestrator.engine.fold import fold_key
from orchestrator.engine.serialise import decision_to_row
from orchestrator.engine.types import Action, Cause, HostLoad
from orchestrator.evaluation import Catalogue, Evaluated, Probe, Trouble, evaluate
from orchestrator.services import control, decisions, findings, leases, runs, workflows
from orchestrator.services.dbtime import truncated_to_ms
from orchestrator.services.decisions import Fold
from orchestrator.services.runs import SweepReport, Wanted
from tradingsite.foundation import clock

log = logging.getLogger(__name__)

LEASE = "leader"
_REPRICE_EVERY = timedelta(seconds=30)


class LostOffice(Exception):
    """Somebody else leads now. Whatever was about to be written is rolled back."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TickReport:
    """What a tick did. `seconds` on the monotonic clock."""

    leader: bool
    evaluated: int = 0
    decisions_stored: int = 0
    planned: int = 0
    swept: int = 0
    troubles: int = 0
    next_due_at: datetime | None = None  # the earliest run any waiting workflow is planned for
    seconds: float = 0.0


@dataclass(slots=True)
class _Standing:
    """The decision in force of one workflow, and how often it was repeated since it was last written."""

    decision_id: int
    key: str
    repeats: int
    written_at: datetime
    seen_at: datetime
    was_hot: bool | None = None  # None: decided by somebody else, before we took office


@dataclass(slots=True)
class _Bad:
    """A workflow that could not be evaluated: left alone until `retry_at`, longer each time."""

    trouble: Trouble
    count: int
    retry_at: datetime


class Loop:
    """One process of the decision loop. Any number may run; one leads, the others stand by."""

    def __init__(
        self,
        *,
        holder: str,
        probe: Probe,
        enqueue: runs.Ring = runs.ring,
        monitor: Callable[[datetime], object] | None = None,
    ) -> None:
        """`enqueue` tells workers about queued runs (their ids). The leader calls `monitor` after each sweep."""
        self.holder = holder
        self._probe, self._ring, self._monitor = probe, enqueue, monitor
        self._epoch: int | None = None
        self._leave()

    # --- Office -----------------------------------------------------------------------------------------------

    @property
    def leads(self) -> bool:
        return self._epoch is not None

    def _leave(self) -> None:
        self._epoch = None
        self._renewed = 0.0
        self._office_since: datetime | None = None
        self._forget()

    def _forget(self) -> None:
        """Start from what the database says: after losing office, and after a write that failed half way."""
        self._catalogue = Catalogue()
        self._standing: dict[int, _Standing] = {}
        self._bad: dict[int, _Bad] = {}
        self._swept_at: datetime | None = None
        self._price = 0.0
        self._priced_at: datetime | None = None

    def _in_office(self, now: datetime) -> bool:
        c = conf()
        if self._epoch is not None:
            age = clock.monotonic() - self._renewed
            if 0 <= age < c.lease_renew_s:
                return True
            self._fence()
            return True
        epoch = leases.acquire(LEASE, self.holder, c.lease_ttl_s)
        if epoch is None:
            return False
        self._epoch, self._renewed, self._office_since = epoch, clock.monotonic(), clock.db_now()
        log.info("%s leads with epoch %d", self.holder, epoch)
        workflows.sync_from_plugins(now)
        return True

    def _fence(self) -> None:
        """Renew the lease or raise LostOffice. Inside a transaction nobody else can take office until it ends."""
        if self._epoch is None or not leases.renew(LEASE, self.holder, self._epoch, conf().lease_ttl_s):
            raise LostOffice
        self._renewed = clock.monotonic()

    def resign(self) -> None:
        """Write what is pending and give the lease back, so that a follower need not wait."""
        if self._epoch is None:
            return
        try:
            with transaction.atomic():
                self._fence()
                decisions.fold(self._due_folds(None))
            leases.release(LEASE, self.holder, self._epoch)
        except LostOffice:
            log.info("%s had already been replaced", self.holder)
        self._leave()

    # --- Tick -------------------------------------------------------------------------------------------------

    def tick(self, now: datetime) -> TickReport:
        """One round. Raises database errors (nothing was half done) and Unavailable when the switch cannot be read."""
        began = clock.monotonic()
        try:
            if not self._in_office(now):
                return TickReport(leader=False, seconds=clock.monotonic() - began)
            return self._lead(now, began)
        except LostOffice:
            log.warning("%s was replaced as leader", self.holder)
            self._leave()
            return TickReport(leader=False, seconds=clock.monotonic() - began)
        except DatabaseError:
            self._forget()
            raise

    def _lead(self, now: datetime, began: float) -> TickReport:
        switch = control.current().position
        load = replace(self._probe.read(), shadow_price=self._price)
        hot = {pk: standing.was_hot for pk, standing in self._standing.items()}
        candidates = [
            item for item in self._catalogue.candidates(now, hot) if not self._is_resting(item.known.pk, now)
        ]
        done, troubles = evaluate(candidates, load, switch, now)
        self._note_troubles(troubles, done, now)
        self._reprice(done, load.workers, now)
        due = self._most_urgent(item for item in done if item.decision.action is Action.RUN)
        new = self._new(done, due, now)
        planned = self._write(new, due, load, now)
        swept = self._sweep_if_due(now)
        return TickReport(
            leader=True, evaluated=len(done), decisions_stored=len(new), planned=planned, swept=swept,
            troubles=len(self._bad), next_due_at=_next_due(done, now), seconds=clock.monotonic() - began,
        )  # fmt: skip

    def _reprice(self, done: Sequence[Evaluated], workers: int, now: datetime) -> None:
        """Every half minute: how much all that may wait must stretch so that it fits the workers. Acts from the next tick."""
        if self._priced_at is None or now - self._priced_at >= _REPRICE_EVERY:
            self._priced_at = now
            self._price = shadow_price([_demand(item) for item in done], workers=workers)

    def _most_urgent(self, due: Iterable[Evaluated]) -> list[Evaluated]:
        """A bounded number of runs per tick, most urgent first; the rest is still due in the next tick."""
        ordered = sorted(due, key=lambda item: (item.decision.priority, item.candidate.known.pk))
        return ordered[: conf().max_plans_per_tick]

    def _new(
        self, done: Sequence[Evaluated], due: Sequence[Evaluated], now: datetime
    ) -> list[tuple[Evaluated, str]]:
        """Decisions that say something new, runs first. What does not fit is decided again in the next tick."""
        self._recall([item.candidate.known.pk for item in done], now)
        new = [(item, fold_key(item.decision)) for item in due]
        limit = max(conf().max_decisions_per_tick, len(new))
        for item in done:
            if item.decision.action is Action.RUN:
                continue
            key = fold_key(item.decision)
            standing = self._standing.get(item.candidate.known.pk)
            if standing is not None and standing.key == key:
                standing.repeats += 1
                standing.seen_at = now
            elif len(new) < limit:
                new.append((item, key))
        return new

    def _recall(self, pks: Sequence[int], now: datetime) -> None:
        """Once per workflow and term: the decision in force when we took office."""
        unknown = [pk for pk in pks if pk not in self._standing]
        for start in range(0, len(unknown), 500):
            for pk, (decision_id, key) in decisions.current_of(unknown[start : start + 500]).items():
                self._standing[pk] = _Standing(decision_id, key, 0, now, now)

    # --- Writing ----------------------------------------------------------------------------------------------

    def _write(
        self, new: Sequence[tuple[Evaluated, str]], due: Sequence[Evaluated], load: HostLoad, now: datetime
    ) -> int:
        folds = self._due_folds(now, {item.candidate.known.pk for item, _key in new})
        if not new and not folds:
            return 0
        rows = [_row(item, load, now) for item, _key in new]
        with transaction.atomic():
            self._fence()
            decisions.fold(folds)
            ids = decisions.store(rows) if rows else []
            decision_ids = {item.candidate.known.pk: pk for (item, _key), pk in zip(new, ids, strict=True)}
            planned = runs.plan([_wanted(item, decision_ids, now) for item in due], now)
            runs.enqueue(planned, now, ring=self._ring)
            _forget_requests(due, now)
        for (item, key), pk in zip(new, ids, strict=True):
            self._standing[item.candidate.known.pk] = _Standing(
                pk, key, 0, now, now, is_hot(item.decision.factors)
            )
        return len(planned)

    def _due_folds(self, now: datetime | None, ended: Container[int] = ()) -> list[Fold]:
        """Repeats that are to be written: all of them, or at `now` those that waited long enough or are at an end."""
        wait = timedelta(seconds=conf().fold_flush_s)
        folds = []
        for pk, standing in self._standing.items():
            is_fresh = now is not None and timedelta(0) <= now - standing.written_at < wait
            if standing.repeats and (not is_fresh or pk in ended):
                folds.append(
                    Fold(
                        decision_id=standing.decision_id,
                        count=standing.repeats,
                        last_seen_at=standing.seen_at,
                    )
                )
                standing.repeats, standing.written_at = 0, now or standing.seen_at
        return folds

    def _sweep_if_due(self, now: datetime) -> int:
        if self._swept_at is not None and timedelta(0) <= now - self._swept_at < timedelta(
            seconds=conf().sweep_s
        ):
            return 0
        self._fence()
        self._swept_at = now
        report = self.sweep()
        self._watch(now)
        return report.total

    def _watch(self, now: datetime) -> None:
        if self._monitor is None:
            return
        try:
            self._monitor(now)
        except DatabaseError:
            raise
        except Exception:  # planning goes on whatever the watchman stumbles over
            log.exception("the health monitor failed")

    def sweep(self) -> SweepReport:
        """Treat overdue runs by the database's clock."""
        return runs.sweep(clock.db_now(), ring=self._ring, in_office_since=self._office_since)

    # --- Workflows that cannot be evaluated -------------------------------------------------------------------

    def _is_resting(self, pk: int, now: datetime) -> bool:
        bad = self._bad.get(pk)
        if bad is None:
            return False
        # A wait longer than the longest was set by a clock that has since been set back.
        return now < bad.retry_at <= now + timedelta(seconds=conf().evaluation_retry_max_s)

    def _note_troubles(self, troubles: Sequence[Trouble], done: Sequence[Evaluated], now: datetime) -> None:
        c = conf()
        seen: set[int] = set()
        for trouble in troubles:
            if trouble.pk in seen:
                continue
            seen.add(trouble.pk)
            before = self._bad.get(trouble.pk)
            count = 1 if before is None else before.count + 1
            wait = min(c.evaluation_retry_s * 2.0 ** min(count - 1, 30), c.evaluation_retry_max_s)
            self._bad[trouble.pk] = _Bad(trouble, count, now + timedelta(seconds=wait))
            log.error("workflow %s cannot be evaluated: %s: %s", trouble.slug, trouble.code, trouble.error)
            detail = {"error": trouble.error, "count": count}
            findings.open_finding(trouble.slug, trouble.code, severity="warning", detail=detail, now=now)
        if self._bad:
            for item in done:
                if item.candidate.known.pk not in seen:
                    self._recovered(item.candidate.known.pk, now)

    def _recovered(self, pk: int, now: datetime) -> None:
        bad = self._bad.pop(pk, None)
        if bad is not None:
            findings.close_finding(bad.trouble.slug, bad.trouble.code, now)

    def troubles(self) -> list[Trouble]:
        """Workflows that could not be evaluated when last tried."""
        return [bad.trouble for bad in self._bad.values()]


def _demand(item: Evaluated) -> Demand:
    """What the workflow would ask for if the machine were idle."""
    decision, subject = item.decision, item.subject
    load = sum(factor.contribution for factor in decision.factors if factor.code == "load")
    may_wait = not (subject.is_trading and item.exposure.open_positions)
    return Demand(
        interval_s=decision.interval_s * math.exp(-load), max_s=subject.bounds.max_s,
        cost_s=item.history.mean_duration_s or 0.0, weight=subject.load_weight if may_wait else 0.0,
    )  # fmt: skip


def _next_due(done: Iterable[Evaluated], now: datetime) -> datetime | None:
    due = (item.decision.next_run_at for item in done)
    return min((at for at in due if at is not None and at > now), default=None)


def _row(item: Evaluated, load: HostLoad, now: datetime) -> dict[str, object]:
    return {
        "workflow_id": item.candidate.known.pk,
        **decision_to_row(
            item.decision, subject=item.subject, conditions=item.conditions, exposure=item.exposure, load=load,
            history=item.history, now=now,
        ),
    }  # fmt: skip


def _wanted(item: Evaluated, decision_ids: dict[int, int], now: datetime) -> Wanted:
    known, decision = item.candidate.known, item.decision
    assert known.kind is not None  # it was evaluated
    return Wanted(
        workflow_id=known.pk, slot_at=truncated_to_ms(now), cause=(decision.cause or Cause.CADENCE).value,
        decision_id=decision_ids.get(known.pk), lane=known.kind.lane.value, priority=decision.priority,
        expires_at=now + known.expires_after,
        requested_by=item.candidate.requested_by if decision.cause is Cause.MANUAL else "",
    )  # fmt: skip


def _forget_requests(due: Sequence[Evaluated], now: datetime) -> None:
    """A person's request is answered by whatever run is planned next; a newer request stays."""
    asked = [item.candidate.known.pk for item in due if item.history.manual_requested_at is not None]
    if asked:
        workflows.forget_requests(asked, now)
