"""Where forms of one model are made and measured, within a time."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from packager.core.errors import ConversionTimeout
from packager.core.progress import Progress
from packager.transform import choice, latency
from packager.transform.candidates import Candidate
from packager.transform.subject import Subject, timed_calls
from packager.transform.trial import Trial, attempt, original
from runtime.contract.transformation import Variant


class Bench:
    """One model and the forms of it that were tried.

    Attributes:
        gate: The least agreement with the source.
        original: The conversion, measured as its forms are.
        tried: All forms so far, in order.
        measured: How latencies were.
    """

    def __init__(self, subject: Subject, *, gate: float, workdir: Path, progress: Progress, deadline: float) -> None:
        self.subject, self.gate, self.workdir = subject, gate, workdir
        self._progress, self._deadline = progress, deadline
        self.original = original(subject)
        self.tried: list[Variant] = []
        self.measured = ""

    def attempt_all(self, candidates: Sequence[Candidate], *, lossless: bool, slower: bool) -> list[Trial]:
        """Make every form, and time those that hold what they have to.

        Args:
            slower: Accept those that take longer than the original.

        Raises:
            ConversionTimeout: There is no time for the next.
        """
        made = []
        for number, candidate in enumerate(candidates, 1):
            if time.monotonic() > self._deadline:
                raise ConversionTimeout(
                    f"the time is up before {candidate.name} was tried", hint="raise --timeout, or give fewer samples"
                )
            self._progress.step(f"trying {candidate.name} ({number} of {len(candidates)})")
            made.append(attempt(self.subject, candidate, self.workdir, gate=self.gate, lossless=lossless))
        made = self._timed(made)
        if not slower:
            made = choice.judge_speed(made, self.original.variant)
        self.tried += [trial.variant for trial in made]
        return made

    def _timed(self, made: list[Trial]) -> list[Trial]:
        paths = {trial.variant.name: trial.graph.path for trial in made if trial.variant.accepted and trial.graph}
        if not paths:
            return made
        self._progress.step("measuring how long a run takes")
        timings = latency.measure({"original": self.subject.graph.path, **paths}, timed_calls(self.subject))
        self.measured = timings.how
        self.original = _with_latency(self.original, timings.medians_ms["original"])
        return [_with_latency(trial, timings.medians_ms.get(trial.variant.name, {})) for trial in made]


def _with_latency(trial: Trial, medians_ms: Mapping[str, float]) -> Trial:
    return replace(trial, variant=trial.variant.model_copy(update={"latency_ms": dict(medians_ms)}))
