"""--quantize: answers that differ a little, from integers or half floats; measured, gated, and declared."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from packager.convert.feeding import Arrays
from packager.convert.parity import Tolerance, compare
from packager.core.conversion import ConversionResult
from packager.transform import choice
from packager.transform.bench import Bench
from packager.transform.calibration import calibration_rows
from packager.transform.candidates import lossy
from packager.transform.facts import check_quantizable, facts_of
from packager.transform.graphs import optimise
from packager.transform.held import held_to
from packager.transform.lossless import best_equal
from packager.transform.subject import Subject
from packager.transform.tools import silenced
from packager.transform.trial import Trial
from packager.transform.wanted import Wanted
from runtime.contract.certificate import Parity
from runtime.contract.transformation import Calibration, Transformation


def quantised(bench: Bench, wanted: Wanted, quantize: str) -> ConversionResult:
    """The conversion with its best quantised form.

    Raises:
        NothingToQuantize: There are no FP32 weights.
        GateFailed: No form passes the gate, or every one is slower.
    """
    # Before anything is made; folding may bring more weights to light, and takes none away.
    check_quantizable(facts_of(bench.subject.graph.path))
    steps: tuple[str, ...] = ()
    source = bench.subject.graph.path
    if wanted.optimize:
        equal = best_equal(bench, portable=True)
        steps = (equal.step,) if equal.step else ()
        source = equal.graph.path if equal.graph else source
    source = _prepared(source, bench.workdir)
    rows = calibration_rows(bench.subject, wanted.calibration) if quantize.startswith("int8") else None
    best = _best(bench, quantize, source, rows.calls if rows else [])
    calibration = rows.about if rows and "static" in best.variant.name else None
    rule = choice.LOSSY_RULE if quantize == "int8" else choice.NAMED_RULE
    return _result(bench, best, _record(bench, best, (*steps, best.step), rule, calibration))


def _prepared(source: Path, folder: Path) -> Path:
    """The graph with constants and batch normalisations folded, which the quantisers expect; as it is if that fails."""
    prepared = folder / "prepared.onnx"
    try:
        with silenced():
            optimise(source, prepared, level="basic")
    except Exception:  # noqa: BLE001 - the forms that are made from the graph are judged, whatever it was
        return source
    return prepared


def _best(bench: Bench, quantize: str, source: Path, calls: Sequence[Arrays]) -> Trial:
    """The best form of 7 bits, which is the same on every processor; of 8 bits where none of those passes."""
    facts, trials = facts_of(source), []
    for seven_bits in (True, False) if quantize.startswith("int8") else (True,):
        forms = lossy(quantize, source, bench.workdir, facts, calls, seven_bits=seven_bits)
        trials += bench.attempt_all(forms, lossless=False, slower=quantize != "int8")
        if any(trial.variant.latency_ms for trial in trials):
            break
    best = choice.best_lossy(trials, bench.original.variant)
    if best is None:
        raise choice.nothing_passes(quantize, trials, bench.original.variant, bench.gate)
    return best


def _record(
    bench: Bench, best: Trial, steps: tuple[str, ...], rule: str, calibration: Calibration | None
) -> Transformation:
    return Transformation(
        steps=steps,
        before=bench.original.variant,
        after=best.variant,
        tried=tuple(bench.tried),
        rule=rule,
        lossless=False,
        min_agreement=bench.gate,
        calibration=calibration,
        measured=bench.measured,
    )


def _result(bench: Bench, best: Trial, record: Transformation) -> ConversionResult:
    subject, graph = bench.subject, best.graph
    if graph is None or best.safety is None:
        raise AssertionError(f"{best.variant.name} was chosen, and does not run")
    test_cases, tolerances = held_to(subject, best)
    return replace(
        subject.result,
        onnx_path=graph.path,
        external_data=graph.info.external_data,
        onnx=graph.info,
        test_cases=test_cases,
        tolerances=tolerances or None,
        parity=_parity(subject, best),
        batch_safety=best.safety,
        notes=(*subject.result.notes, *_notes(best, bench.original, record.calibration)),
        transform=record,
    )


def _parity(subject: Subject, best: Trial) -> Parity | None:
    """Both comparisons with the model that is packaged, at the ordinary tolerance, which it need not hold."""
    parity, evidence = subject.result.parity, subject.evidence
    if parity is None or evidence.cast is None or evidence.original is None:
        return None
    tolerance = Tolerance(subject.checks.atol, subject.checks.rtol)
    return parity.model_copy(
        update={
            "samples": len(next(iter(subject.feeds.values()))),
            "batch_sizes": subject.sizes,
            "conversion": compare(evidence.cast, best.runs, tolerance),
            "user_visible": compare(evidence.original, best.runs, tolerance),
        }
    )


def _notes(best: Trial, original: Trial, calibration: Calibration | None) -> list[str]:
    name, notes = best.variant.name, []
    times = choice.relative_latency(best.variant, original.variant)
    if times > choice.SLOWER:
        notes.append(f"{name} takes {times:.2f} times as long as the original here; it was asked for by name")
    if calibration is not None and calibration.weak:
        notes.append(
            "the ranges of the integers come from synthetic rows, which need not be like yours: give real ones with"
            " --samples or --calibration"
        )
    if name.endswith("-8bit"):
        notes.append(
            f"{name} uses all 8 bits of its weights: processors without VNNI (before 2019) may answer differently, and"
            " then their self-test keeps them from serving"
        )
    if original.variant.batchable and best.variant.batchable is False:
        notes.append(f"with {name} a row's answer depends on the rows beside it, so requests are never batched")
    return notes
