"""One form of a model, made and held against the source."""

from dataclasses import dataclass, replace
from pathlib import Path

import onnx

from packager.convert import batching
from packager.convert.feeding import Arrays, run_in_batches
from packager.convert.graph import CheckedGraph
from packager.convert.parity import Tolerance, compare
from packager.convert.verification import Verified, verify
from packager.core import interrupts
from packager.core.errors import ConversionError, DrayError
from packager.transform.agreement import agreement_of
from packager.transform.candidates import Candidate
from packager.transform.facts import has_fewer_bits
from packager.transform.subject import Subject, checked
from packager.transform.tools import all_nodes, silenced
from runtime.contract.certificate import BatchSafety
from runtime.contract.transformation import Variant


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of it.

    Attributes:
        graph, runs, safety: None and empty where the form could not be made or does not run.
        verified: The whole of the ordinary evidence, where that was asked for and holds.
    """

    variant: Variant
    step: str
    graph: CheckedGraph | None = None
    runs: tuple[Arrays, ...] = ()
    safety: BatchSafety | None = None
    verified: Verified | None = None


def original(subject: Subject) -> Trial:
    """The conversion itself, measured as its forms are."""
    return _measured(subject, "original", "", subject.graph, None)


def attempt(subject: Subject, candidate: Candidate, folder: Path, *, gate: float, lossless: bool) -> Trial:
    """Make a form of the model, check it, run it, and judge it.

    Args:
        gate: The least agreement with the source.
        lossless: Whether the ordinary tolerance of parity has to hold as well.
    """
    interrupts.check()
    place = folder / candidate.name
    place.mkdir()
    path = place / "model.onnx"
    failure = _build(candidate, path)
    if failure is not None:
        return _rejected(candidate, failure)
    try:
        graph = checked(subject.raw, path)
        if not lossless and not has_fewer_bits(path):
            return _rejected(candidate, "nothing in it could be quantised this way")
        if graph.signature != subject.graph.signature:
            return _rejected(candidate, "its inputs or outputs are not those of the original")
        verified = verify(replace(subject.raw, onnx=path), subject.checks) if lossless else None
        trial = _measured(subject, candidate.name, candidate.step, graph, verified)
    except ConversionError as error:
        return _rejected(candidate, error.message)
    if lossless:
        return trial if _unchanged(subject, trial) else refused(trial, "it answers differently from the original")
    return trial if trial.variant.agreement >= gate else refused(trial, _below(trial.variant, gate))


def _unchanged(subject: Subject, trial: Trial) -> bool:
    """Whether the answers are the original's; they were held against the source's where there is one."""
    if subject.evidence.cast is not None:
        return True
    return compare(subject.expected, trial.runs, Tolerance(subject.checks.atol, subject.checks.rtol)).passed


def refused(trial: Trial, reason: str) -> Trial:
    """The same, not to be packaged."""
    return replace(trial, variant=trial.variant.model_copy(update={"accepted": False, "reason": reason}))


def _build(candidate: Candidate, path: Path) -> str | None:
    """Why the form could not be made; None where it was."""
    try:
        with silenced():
            candidate.build(path)
    except DrayError as error:
        return error.message
    except Exception as error:  # noqa: BLE001 - four tools of others, none of which says what it raises
        reason = (" ".join(str(error).split()) or "no reason given")[:200]
        return f"its tool stops: {type(error).__name__}: {reason}"
    return None if path.is_file() else "its tool wrote nothing"


def _rejected(candidate: Candidate, reason: str) -> Trial:
    return Trial(Variant(name=candidate.name, accepted=False, reason=reason), candidate.step)


def _measured(subject: Subject, name: str, step: str, graph: CheckedGraph, verified: Verified | None) -> Trial:
    runs = tuple(run_in_batches(graph.session, subject.feeds, size) for size in subject.sizes)
    nodes = [node.op_type for node in all_nodes(onnx.load(graph.path, load_external_data=False))]
    safety = _safety(subject, graph, nodes) if verified is None else verified.batch_safety
    variant = Variant(
        name=name,
        accepted=True,
        size_bytes=graph.info.size_bytes,
        nodes=len(nodes),
        outputs=agreement_of(subject.expected, runs, labelled=frozenset(subject.result.labels or ())),
        batchable=safety.batchable,
    )
    return Trial(variant, step, graph, runs, safety, verified)


def _safety(subject: Subject, graph: CheckedGraph, nodes: list[str]) -> BatchSafety:
    """Proven at the ordinary tolerance: a coarser one would let the rows of one request be felt in another."""
    if graph is subject.graph:
        return subject.result.batch_safety
    if any(node.startswith("DynamicQuantize") for node in nodes):
        return BatchSafety(
            batchable=False, reason="the ranges of its integers are taken from all rows of a run together"
        )
    tolerance = Tolerance(subject.checks.atol, subject.checks.rtol)
    return batching.prove(graph, subject.feeds, tolerance=tolerance, seed=subject.checks.seed)


def _below(variant: Variant, gate: float) -> str:
    name, worst = min(variant.outputs.items(), key=lambda item: item[1].agreement)
    measure = min(worst.measures, key=lambda key: worst.measures[key])
    return f"agreement of {name!r} is {worst.agreement:.4f} ({measure}), below {gate:g}"
