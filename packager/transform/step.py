"""The step between conversion and package: make forms of the model, measure each, take the best or none."""

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from packager.core.conversion import ConversionResult, RawConversion
from packager.core.extras import versions_of
from packager.core.progress import Progress
from packager.transform.wanted import Wanted

if TYPE_CHECKING:
    from packager.convert.judgement import Checks


def check_form(raw: RawConversion, wanted: Wanted) -> None:
    """Refuse what cannot have the form that is wanted, before anything slow.

    Raises:
        CircuitRefused, CircuitTooLarge: It has no circuit, or too large a one.
    """
    if wanted.circuit is not None:
        from packager.transform.circuit.form import check_circuit

        check_circuit(raw, wanted.circuit)


def transform(
    result: ConversionResult,
    wanted: Wanted,
    *,
    checks: "Checks",
    workdir: Path,
    progress: Progress,
    timeout_s: float,
    name: str = "model",
    samples: Path | None = None,
) -> ConversionResult:
    """The conversion with its model optimised, quantised or made a circuit, and held against the source again.

    Args:
        checks: What the conversion was judged by.
        workdir: An empty folder that lives until the package is written.
        name: Of the model.
        samples: The user's, whose right labels a truth holds.

    Raises:
        NothingToQuantize: There are no weights to quantise.
        CircuitRefused, CircuitUnfaithful: There is no circuit of it, or none that is proven.
        GateFailed, ParityError: No form of the model agrees with the source, or none is faster.
    """
    if wanted.circuit is not None:
        from packager.transform.circuit.form import circuit_form

        return circuit_form(
            result, wanted.circuit, name=name, min_agreement=wanted.min_agreement, truth=wanted.truth, samples=samples,
            checks=checks, workdir=workdir, progress=progress, timeout_s=timeout_s,
        )  # fmt: skip
    from packager.transform.bench import Bench
    from packager.transform.lossless import optimised
    from packager.transform.quantized import quantised
    from packager.transform.subject import subject_of

    bench = Bench(
        subject_of(result, checks),
        gate=wanted.min_agreement,
        workdir=workdir,
        progress=progress,
        deadline=time.monotonic() + timeout_s,
    )
    changed = optimised(bench) if wanted.quantize is None else quantised(bench, wanted, wanted.quantize)
    return replace(changed, versions={**changed.versions, **versions_of("onnxslim")})
