"""What --optimize and --quantize did, as people read it."""

from collections.abc import Iterable, Mapping

from runtime.contract.manifest import OutputTolerance
from runtime.contract.transformation import Transformation, Variant


def transformation(record: Transformation, tolerances: Mapping[str, OutputTolerance] | None) -> Iterable[str]:
    """Lines of the certificate: what was done, what it cost and gave, what else was tried."""
    before, after = record.before, record.after
    for step in record.steps or ("nothing: no form of the graph was smaller; packaged as converted",):
        yield f"  {'transformed' if record.steps else 'optimised':<12} {step}"
    if not record.lossless:
        yield f"  LOSSY        answers differ from the source's; gate: agreement of at least {record.min_agreement:g}"
    for name, output in after.outputs.items():
        was = f"before {before.outputs[name].agreement:.4f}"
        yield f"  agreement    {name}: {_measures(output.measures)} ({was}), {_error(output.max_abs_error)}"
    if record.steps:
        yield f"  size         {before.size_bytes} -> {after.size_bytes} bytes, {before.nodes} -> {after.nodes} nodes"
        yield f"  latency      {_latency(before, after)}"
        yield f"               {record.measured}"
    if record.calibration:
        weak = "WEAK, " if record.calibration.weak else ""
        yield f"  calibration  {record.calibration.rows} rows ({weak}{_ORIGINS[record.calibration.origin]})"
    for name, held in (tolerances or {}).items():
        rms = "" if held.rms is None else f", {held.rms:g} in the root of the mean square"
        yield f"  held to      {name}: {held.atol:g} + {held.rtol:g} x |expected|{rms}, on the test data"
    yield from (f"  tried        {_tried(variant, before)}" for variant in record.tried)


_ORIGINS = {"samples": "of --samples", "calibration-file": "of --calibration", "synthetic": "synthetic"}


def _measures(measures: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.4f}" for name, value in measures.items())


def _error(value: float | None) -> str:
    return "labels only" if value is None else f"largest error {value:.2g}"


def _latency(before: Variant, after: Variant) -> str:
    parts = (
        f"batch {size}: {before.latency_ms[size]:.3g} -> {ms:.3g} ms ({ms / before.latency_ms[size]:.2f} x)"
        for size, ms in after.latency_ms.items()
    )
    return ", ".join(parts)


def _tried(variant: Variant, before: Variant) -> str:
    facts = []
    if variant.outputs:
        facts.append(f"agreement {variant.agreement:.4f}")
    if variant.size_bytes and before.size_bytes:
        facts.append(f"{variant.size_bytes / before.size_bytes:.2f} x size")
    facts += [f"{ms / before.latency_ms[size]:.2f} x latency at {size}" for size, ms in variant.latency_ms.items()]
    verdict = "" if variant.accepted else f"NOT TAKEN: {variant.reason}"
    return f"{variant.name}: {', '.join(filter(None, (*facts, verdict)))}"
