"""The step between conversion and package: make forms of the model, measure each, take the best or none."""

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from packager.core.conversion import ConversionResult
from packager.core.extras import versions_of
from packager.core.progress import Progress
from packager.transform.wanted import Wanted

if TYPE_CHECKING:
    from packager.convert.judgement import Checks


def transform(
    result: ConversionResult, wanted: Wanted, *, checks: "Checks", workdir: Path, progress: Progress, timeout_s: float
) -> ConversionResult:
    """The conversion with its model optimised or quantised, and held against the source again.

    Args:
        checks: What the conversion was judged by.
        workdir: An empty folder that lives until the package is written.

    Raises:
        NothingToQuantize: There are no weights to quantise.
        GateFailed, ParityError: No form of the model agrees with the source, or none is faster.
    """
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
