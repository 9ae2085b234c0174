"""--optimize: the same answers from fewer nodes."""

from dataclasses import replace

from packager.core.conversion import ConversionResult
from packager.core.errors import ParityError
from packager.transform import choice
from packager.transform.bench import Bench
from packager.transform.candidates import lossless
from packager.transform.trial import Trial
from runtime.contract.transformation import Transformation


def optimised(bench: Bench) -> ConversionResult:
    """The conversion with its best equal form; as it was where nothing is gained, which the certificate says.

    Raises:
        ParityError: Every form answers differently.
    """
    best = best_equal(bench, portable=False)
    record = Transformation(
        steps=(best.step,) if best.step else (),
        before=bench.original.variant,
        after=best.variant,
        tried=tuple(bench.tried),
        rule=choice.LOSSLESS_RULE,
        lossless=True,
        min_agreement=bench.gate,
        measured=bench.measured,
    )
    return replace(_with_model(bench.subject.result, best), transform=record)


def best_equal(bench: Bench, *, portable: bool) -> Trial:
    """The best form of the model that holds the ordinary tolerance, or the original.

    Raises:
        ParityError: No form holds it.
    """
    made = bench.attempt_all(lossless(bench.subject.graph.path, portable=portable), lossless=True, slower=False)
    if not any(trial.verified and trial.variant.latency_ms for trial in made):
        said = "; ".join(f"{trial.variant.name}: {trial.variant.reason}" for trial in made)
        raise ParityError(
            f"no optimised form of the model holds: {said}",
            hint="package it without --optimize; ONNX Runtime optimises it in memory when it is loaded all the same",
            detail={"tried": [trial.variant.model_dump(mode="json") for trial in made]},
        )
    return choice.best_lossless(made, bench.original)


def _with_model(result: ConversionResult, trial: Trial) -> ConversionResult:
    """The conversion with another model and the evidence about it; unchanged where that is the original."""
    verified = trial.verified
    if verified is None:
        return result
    return replace(
        result,
        onnx_path=verified.graph.path,
        external_data=verified.graph.info.external_data,
        onnx=verified.graph.info,
        # Without a source, what is tested is that nothing changed since the conversion.
        test_cases=result.test_cases if verified.parity is None else verified.cases,
        parity=verified.parity,
        batch_safety=verified.batch_safety,
    )
