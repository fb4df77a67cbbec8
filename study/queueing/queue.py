"""The queue: work on cells, as the trials of an Optuna study, for one worker or for many on any machines.

Optuna gives the trials their order, and makes claiming one an atomic change of state. All else rests on one rule:
**a cell belongs to the earliest trial that lists it and hasn't failed**. So whatever is missing may be listed again,
by anyone and at any time: two that do so at once have made a trial too many, which finds nothing left to do.

A worker says of its trials that it lives, every `heartbeat` seconds, by counting. Who sees a count stand still for
`GRACE` heartbeats of its own clock fails the trial. That fences the worker, if it still lives: a trial that has failed
takes no more word from it, so it learns that it has lost the trial, and stops. One that can't reach the storage stops
after `LEASE` heartbeats, before others may take over. Optuna's own heartbeat compares clocks, works neither by gRPC
nor in a journal, and never notices a worker that died before its first one.
"""

import dataclasses
import json
import os
import socket
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock, Timeout
from optuna.distributions import BaseDistribution
from optuna.exceptions import DuplicatedStudyError, UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from study.cells import Cell, MistakeError, make_cell
from study.ledger import Json, Ledger
from study.queueing.storages import Storage

GRACE = 4
"""Heartbeats without a sign of life after which a worker counts as dead."""
LEASE = 2.5
"""Heartbeats without the storage's answer after which a worker gives up its trials itself; one less than `GRACE`."""
MOST_DEATHS = 5
"""Workers that may die over a cell: it is probably what they die of."""

T = TypeVar("T")

LIVE = (TrialState.WAITING, TrialState.RUNNING, TrialState.COMPLETE, TrialState.PRUNED)


class Worker:
    """Who claims: this process, as long as it lives. Its lock tells those on the same machine when it doesn't."""

    def __init__(self, runs_dir: Path) -> None:
        self.ledger = Ledger(runs_dir)
        self.ledger.prepare()
        self.place = f"{socket.gethostname()}:{runs_dir.resolve()}"
        """this machine and its ledger"""
        self.token = uuid.uuid4().hex
        self._lock = FileLock(self._path(self.token))
        self._lock.acquire()

    @property
    def signature(self) -> Json:
        """How its trials name it."""
        return {"place": self.place, "token": self.token, "pid": os.getpid()}

    def knows_dead(self, signature: Mapping[str, Any]) -> bool:
        """Whether another worker is of this place, and has died."""
        if signature["place"] != self.place or signature["token"] == self.token:
            return False
        try:
            with FileLock(self._path(signature["token"]), timeout=0):
                self._path(signature["token"]).unlink(missing_ok=True)
        except Timeout:
            return False
        return True

    def leave(self) -> None:
        """Be known to be gone."""
        self._lock.release()
        self._path(self.token).unlink(missing_ok=True)

    def _path(self, token: str) -> Path:
        return self.ledger.runs_dir / ".locks" / f"worker-{token}"


@dataclasses.dataclass
class Claim:
    """A trial that is ours."""

    trial_id: int
    number: int
    cells: list[Cell]
    """those that belong to it"""
    params: dict[str, Any]
    beats: int = 0


class Queue:
    """One study's trials, as work. Every call is patient with a storage that restarts.

    **Raises**: `StorageLostError`, from any method, when the storage has been away for `LEASE` heartbeats.
    """

    def __init__(self, storage: Storage, name: str, worker: Worker) -> None:
        self.name = name
        self.worker = worker
        self._storage = storage
        self._heartbeat = 15.0
        self._id: int = self._call(lambda backend: backend.get_study_id_from_name(name))
        about = self._call(lambda backend: backend.get_study_user_attrs(self._id))
        self.plan: Json = about.get("plan", {})
        """what the study is for: how to go on with it"""
        self._heartbeat = float(about.get("heartbeat", self._heartbeat))
        self._claims: dict[int, Claim] = {}
        self._seen: dict[int, tuple[Any, float]] = {}
        self._beaten = -1e9

    def sibling(self, name: str) -> "Queue":
        """Another study of the same storage, for the same worker."""
        return Queue(self._storage, name, self.worker)

    @property
    def heartbeat(self) -> float:
        """Seconds between two signs of life."""
        return self._heartbeat

    def trials(self, *states: TrialState) -> list[FrozenTrial]:
        """The study's trials, by number; all, or those of these states."""
        return self._call(lambda backend: backend.get_all_trials(self._id, deepcopy=False, states=states or None))

    def fill(
        self,
        cells: Sequence[Cell],
        cut: Callable[[list[Cell]], list[list[Cell]]] = lambda cells: [cells],
        params: Mapping[str, Any] | None = None,
        distributions: Mapping[str, BaseDistribution] | None = None,
    ) -> None:
        """Enqueue those of the cells that no trial has, as `cut` says; by default, together.

        Complete trials whose outcomes have since been deleted from our ledger have their cells no more.
        """
        live = self.trials(*LIVE)
        deleted = {trial.number for trial in live if self._is_deleted(trial)}
        have = {name for trial in live if trial.number not in deleted for name in listed(trial)}
        left = [cell for cell in cells if cell.id not in have]
        for cohort in cut(left) if left else []:
            more = {"instead_of": sorted(deleted)} if deleted else {}
            self.add(cohort, params=params, distributions=distributions, user_attrs=more)

    def note(self, key: str, value: Any) -> None:
        """Write down something about the study, for whoever looks at the storage."""
        self._call(lambda backend: backend.set_study_user_attr(self._id, key, value))

    def _is_deleted(self, trial: FrozenTrial) -> bool:
        if not trial.state.is_finished() or trial.user_attrs["worker"]["place"] != self.worker.place:
            return False
        return any(self.worker.ledger.outcome(cell) is None for cell in cells_of(trial))

    def add(
        self,
        cells: Sequence[Cell],
        params: Mapping[str, Any] | None = None,
        distributions: Mapping[str, BaseDistribution] | None = None,
        user_attrs: Mapping[str, Any] | None = None,
    ) -> None:
        """Enqueue a trial."""
        trial = create_trial(
            state=TrialState.WAITING,
            params=dict(params or {}),
            distributions=dict(distributions or {}),
            user_attrs={**_describe(cells), **(user_attrs or {})},
        )
        self._call(lambda backend: backend.create_new_trial(self._id, trial))

    def claim(self) -> Claim | None:
        """Take the first trial that is waiting, if there is one."""
        # Read once, before: an earlier trial that fails meanwhile has its cells listed again by whoever notices.
        trials = self.trials(*LIVE)
        for trial in trials:
            if trial.state != TrialState.WAITING or not self._set_state(trial._trial_id, TrialState.RUNNING):
                continue
            claim = Claim(trial._trial_id, trial.number, [], trial.params)
            self._claims[claim.trial_id] = claim
            if not self.tell(claim, worker=self.worker.signature):
                continue
            instead_of = trial.user_attrs.get("instead_of", [])
            before = [other for other in trials if other.number < trial.number and other.number not in instead_of]
            earlier = {name for other in before for name in listed(other)}
            claim.cells = [cell for cell in cells_of(trial) if cell.id not in earlier]
            if len(claim.cells) == len(listed(trial)) or (claim.cells and self.tell(claim, **_describe(claim.cells))):
                return claim
            self.give_up(claim, "its cells belong to earlier trials")
        return None

    def tell(self, claim: Claim, **attributes: Any) -> bool:
        """Note something about a claim. **Returns**: whether it is still ours."""
        return self._note(
            claim,
            lambda backend: [
                backend.set_trial_user_attr(claim.trial_id, key, value) for key, value in attributes.items()
            ],
        )

    def report(self, claim: Claim, values: Mapping[int, float]) -> bool:
        """Note Optuna's intermediate values, by step. **Returns**: whether the claim is still ours."""
        return self._note(
            claim,
            lambda backend: [
                backend.set_trial_intermediate_value(claim.trial_id, step, value) for step, value in values.items()
            ],
        )

    def _note(self, claim: Claim, write: Callable[[BaseStorage], Any]) -> bool:
        try:
            self._call(write)
        except UpdateFinishedTrialError:
            self._claims.pop(claim.trial_id, None)
        return claim.trial_id in self._claims

    def complete(self, claim: Claim, value: float, outcomes: Json, state: TrialState = TrialState.COMPLETE) -> bool:
        """End a claim. **Returns**: whether it was still ours.

        **Arguments**: `outcomes`, by cell id, of the cells that were trained: all that others need to know.
        """
        mine = self.tell(claim, outcomes=outcomes) and self._set_state(claim.trial_id, state, value)
        self._claims.pop(claim.trial_id, None)
        return mine

    def give_up(self, claim: Claim, error: str | None) -> None:
        """Fail a claim: for somebody else to take, or, with an error, for nobody until the study is filled anew."""
        if error is None or self.tell(claim, error=error):
            self._set_state(claim.trial_id, TrialState.FAIL)
        self._claims.pop(claim.trial_id, None)

    def beat(self, at_once: bool = False) -> set[int]:
        """Say that we live, if it is time to, and see who doesn't. **Returns**: our claims' trial ids."""
        if at_once or time.monotonic() - self._beaten >= self._heartbeat:
            self._beaten = time.monotonic()
            for claim in list(self._claims.values()):
                claim.beats += 1
                self.tell(claim, beat=claim.beats)
            trials = self.trials()
            self._relist(self.trials() if self._bury(trials) else trials)
        return set(self._claims)

    def unfinished(self) -> int:
        """Trials that are waiting or running."""
        return len(self.trials(TrialState.WAITING, TrialState.RUNNING))

    def _bury(self, trials: Sequence[FrozenTrial]) -> bool:
        """Fail the trials of workers that have died. **Returns**: whether there were any."""
        running = [t for t in trials if t.state == TrialState.RUNNING and t._trial_id not in self._claims]
        now = time.monotonic()
        seen = {}
        any_died = False
        for trial in running:
            count = trial.user_attrs.get("beat")
            before, since = self._seen.get(trial._trial_id, (None, now))
            seen[trial._trial_id] = (count, since if count == before else now)
            signature = trial.user_attrs.get("worker")
            is_dead = signature is not None and self.worker.knows_dead(signature)
            if is_dead or now - seen[trial._trial_id][1] > GRACE * self._heartbeat:
                any_died |= self._set_state(trial._trial_id, TrialState.FAIL)
        self._seen = seen
        return any_died

    def _relist(self, trials: Sequence[FrozenTrial]) -> None:
        """Enqueue again what trials that failed without an error have left."""
        lost = [trial for trial in trials if trial.state == TrialState.FAIL and "error" not in trial.user_attrs]
        if not lost:
            return
        belonging = {name for trial in trials if trial.state in LIVE for name in listed(trial)}
        deaths = Counter(name for trial in lost for name in listed(trial))
        for trial in lost:
            left = [cell for cell in cells_of(trial) if cell.id not in belonging and deaths[cell.id] < MOST_DEATHS]
            if left:
                kept = {key: trial.user_attrs[key] for key in trial.user_attrs.keys() & {"place_in_search"}}
                self.add(left, trial.params, trial.distributions, kept)
                belonging |= {cell.id for cell in left}

    def _set_state(self, trial_id: int, state: TrialState, value: float | None = None) -> bool:
        """Change a trial's state. **Returns**: whether it was us who did."""
        try:
            return self._call(
                lambda backend: backend.set_trial_state_values(trial_id, state, None if value is None else [value])
            )
        except UpdateFinishedTrialError:
            # Asked twice over a restart of the storage, it may have been us the first time.
            trial = self._call(lambda backend: backend.get_trial(trial_id))
            return trial.state == state and trial.user_attrs.get("worker") == self.worker.signature

    def _call(self, ask: Callable[[BaseStorage], T]) -> T:
        return self._storage.call(ask, LEASE * self._heartbeat)


def open_queue(storage: Storage, name: str, worker: Worker, plan: Json, heartbeat: float) -> Queue:
    """The study of that name, made if there is none. **Raises**: `MistakeError`, if it is there with another plan."""
    patience = LEASE * heartbeat

    def create(backend: BaseStorage) -> int:
        try:
            return backend.create_new_study([StudyDirection.MAXIMIZE], name)
        except DuplicatedStudyError:
            return backend.get_study_id_from_name(name)

    study_id = storage.call(create, patience)
    there = storage.call(lambda backend: backend.get_study_user_attrs(study_id), patience)
    if "plan" not in there:
        storage.call(lambda backend: backend.set_study_user_attr(study_id, "heartbeat", heartbeat), patience)
        storage.call(lambda backend: backend.set_study_user_attr(study_id, "plan", plan), patience)
    elif there["plan"] != json.loads(json.dumps(plan)):
        other = next(key for key in plan.keys() | there["plan"].keys() if plan.get(key) != there["plan"].get(key))
        raise MistakeError(
            f"study {name!r} in {storage.name} has another {other}: give this one another --name, or the same {other}"
        )
    return Queue(storage, name, worker)


def listed(trial: FrozenTrial) -> list[str]:
    """The ids of a trial's cells."""
    return list(trial.user_attrs.get("cells", {}))


def cells_of(trial: FrozenTrial) -> list[Cell]:
    """A trial's cells. **Raises**: `MistakeError`, when another version of this program listed them."""
    cells = []
    for name in listed(trial):
        cell = make_cell({**trial.user_attrs["design"], **trial.user_attrs["cells"][name]})
        if cell.id != name:
            raise MistakeError(f"trial {trial.number} was enqueued by another version of this program: use that one")
        cells.append(cell)
    return cells


def _describe(cells: Sequence[Cell]) -> Json:
    """Cells as user attributes: what all have in common, and by id what each has beside."""
    descriptions = [dataclasses.asdict(cell) for cell in cells]
    defaults = {field.name: field.default for field in dataclasses.fields(Cell)}
    common = {
        name: value for name, value in descriptions[0].items() if all(other[name] == value for other in descriptions)
    }
    return {
        "design": {name: value for name, value in common.items() if value != defaults[name]},
        "cells": {
            cell.id: {name: value for name, value in description.items() if name not in common}
            for cell, description in zip(cells, descriptions, strict=True)
        },
        "updates": sum(cell.num_updates for cell in cells),
    }
