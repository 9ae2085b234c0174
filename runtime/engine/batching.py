"""Requests that arrived in one turn of the event loop go through the graph together.

No timer: a request never waits for others that may come, only for those that are there. Belongs to the event loop's
thread alone.
"""

import asyncio
import math
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final, NamedTuple

import numpy as np

from runtime.contract.errors import DrayError
from runtime.engine.costs import Costs, shares_runs
from runtime.engine.runs import Array, count_rows
from runtime.engine.session import OnnxModel

# Well above what a refusal takes.
_COSTLY_NS: Final = 200_000
Outputs = Mapping[str, Array]
# Called with what came of a request; an exception of no known kind is a bug, and is passed on as it is.
Done = Callable[["Outputs | Exception"], None]
# One run of the graph: inputs and the names of the outputs that are wanted.
Run = Callable[[Mapping[str, Array], Sequence[str] | None], Outputs]


class Turn:
    """How long the present turn of an event loop has lasted.

    A turn reads every connection that has something to say, so what comes in while it lasts waits for its end.
    """

    def __init__(self) -> None:
        self._began_s: float | None = None

    def lasted_s(self, now_s: float) -> float:
        """Seconds since this was first asked in the turn.

        Args:
            now_s: By ``time.perf_counter``.
        """
        if self._began_s is None:
            self._began_s = now_s
            asyncio.get_running_loop().call_soon(self._end)
        return now_s - self._began_s

    def _end(self) -> None:
        self._began_s = None


class Job(NamedTuple):
    """One request that waits for its run.

    Attributes:
        rows: Of its inputs; 0 is a batch of its own.
        kind: Only requests of the same kind may share a run: same outputs, same free axes behind the batch's.
        gone: Whether nobody waits for it any more.
    """

    inputs: Mapping[str, Array]
    outputs: Sequence[str] | None
    rows: int
    kind: object
    done: Done
    gone: Callable[[], bool]


class Batcher:
    """Runs of one model that is fast enough for the event loop.

    Args:
        max_rows: Rows that requests may share a run up to; a larger one has a run of its own.
        delay_s: How long the first of a batch waits for others; 0 for those that are there.
        timed: Whether ``ran_ns`` is kept up.

    Attributes:
        costly: Whether a run costs so much more than a refusal that refusing helps the others.
        ran_ns: When the last run began and ended, since 1970.
    """

    def __init__(
        self, model: OnnxModel, costs: Costs, *, max_rows: int | None = None, delay_s: float = 0.0, timed: bool = False
    ) -> None:
        self._run: Run = model.run
        if timed:
            self._run = partial(self._timed, model)
        self.ran_ns = (0, 0)
        self.costly = costs.run_ns > _COSTLY_NS
        self._most_rows = costs.inline_rows if model.manifest.signature.batch_dim is not None else math.inf
        self._shares = shares_runs(model)
        self._max_rows = (max_rows or costs.best_rows) if self._shares else 1
        self._one_shape = all(
            isinstance(dim, int) for spec in model.manifest.signature.inputs for dim in spec.shape[1:]
        )
        self._delay_s = delay_s
        self._waiting: list[Job] = []
        self._waiting_rows = 0

    def suits(self, inputs: Mapping[str, Array]) -> bool:
        """Whether a request is small enough for the event loop."""
        return count_rows(inputs) <= self._most_rows

    def submit(
        self, inputs: Mapping[str, Array], outputs: Sequence[str] | None, *, done: Done, gone: Callable[[], bool]
    ) -> None:
        """Answer in this turn of the loop or the next; ``done`` is called once, unless ``gone`` says yes by then."""
        rows = len(next(iter(inputs.values()))) if self._shares else 1
        kind = outputs if self._one_shape else (outputs, [value.shape[1:] for value in inputs.values()])
        job = Job(inputs, outputs, rows, kind, done, gone)
        if self._max_rows <= 1:
            _run_alone(job, self._run)
            return
        self._waiting.append(job)
        self._waiting_rows += rows
        if self._waiting_rows >= self._max_rows:
            self._flush()  # nobody else fits
        elif len(self._waiting) == 1:
            loop = asyncio.get_running_loop()
            if self._delay_s > 0:
                loop.call_later(self._delay_s, self._flush)
            else:
                loop.call_soon(self._flush)

    def _flush(self) -> None:
        waiting, self._waiting, self._waiting_rows = self._waiting, [], 0
        run_jobs([job for job in waiting if not job.gone()], self._run, self._max_rows)

    def _timed(self, model: OnnxModel, inputs: Mapping[str, Array], outputs: Sequence[str] | None) -> Outputs:
        began = time.time_ns()
        try:
            return model.run(inputs, outputs)
        finally:
            self.ran_ns = (began, time.time_ns())


def make_job(
    model: OnnxModel,
    inputs: Mapping[str, Array],
    outputs: Sequence[str] | None,
    *,
    done: Done,
    gone: Callable[[], bool] = lambda: False,
) -> Job:
    """A request of any size, for ``run_jobs``."""
    rows = len(next(iter(inputs.values()))) if shares_runs(model) else 1
    return Job(inputs, outputs, rows, (outputs, [value.shape[1:] for value in inputs.values()]), done, gone)


def run_jobs(jobs: list[Job], run: Run, max_rows: int) -> None:
    """Answer all of them, as many together as may share a run; in whichever thread this is called.

    Args:
        max_rows: Of a run that is shared; 1 where rows of several requests must not meet.
    """
    while jobs:
        batch, jobs = _first_batch(jobs, max_rows)
        if len(batch) == 1:
            _run_alone(batch[0], run)
        else:
            _run_together(batch, run)


def _first_batch(jobs: list[Job], max_rows: int) -> tuple[list[Job], list[Job]]:
    """As many as may share a run with the first, in the order in which they came, and the rest."""
    first, rows = jobs[0], jobs[0].rows
    batch, rest = [first], []
    for job in jobs[1:]:
        if job.rows > 0 and rows > 0 and rows + job.rows <= max_rows and job.kind == first.kind:
            batch.append(job)
            rows += job.rows
        else:
            rest.append(job)
    return batch, rest


def _run_alone(job: Job, run: Run) -> None:
    try:
        outputs = run(job.inputs, job.outputs)
    except Exception as error:  # noqa: BLE001 - whoever waits gets it
        job.done(error)
        return
    job.done(outputs)


def _run_together(batch: list[Job], run: Run) -> None:
    joined = {name: np.concatenate([job.inputs[name] for job in batch]) for name in batch[0].inputs}
    try:
        outputs = run(joined, batch[0].outputs)
    except DrayError:
        # One of them may be bad: each gets its own answer, and no neighbour the blame.
        for job in batch:
            _run_alone(job, run)
        return
    start = 0
    for job in batch:
        end = start + job.rows
        job.done({name: value[start:end] for name, value in outputs.items()})
        start = end
