"""Which form of a model is packaged, by rules that the certificate repeats."""

from collections.abc import Sequence

from packager.core.errors import GateFailed
from packager.transform.latency import ratio
from packager.transform.trial import Trial, refused
from runtime.contract.transformation import Variant

# Medians of the same graph were seen to differ by less.
SLOWER = 1.05
_AS_FAST = 1.10
_SMALLER = 0.99
LOSSLESS_RULE = (
    "of the forms that hold parity, are not slower and have fewer nodes or 1 % fewer bytes: fewest nodes, then"
    " smallest; `extended` only where it is 5 % faster than that; the original where there is none"
)
LOSSY_RULE = (
    "of the forms that pass the gate and are not slower than the original: the fastest; of those within 10 % of it the"
    " one that agrees most, then the smallest error"
)
NAMED_RULE = (
    "asked for by name, so taken even where it is slower: the fastest; of those within 10 % the one that agrees most"
)


def relative_latency(variant: Variant, original: Variant) -> float:
    """What a run takes, as a multiple of the original's, over the batch sizes."""
    return ratio(variant.latency_ms, original.latency_ms)


def judge_speed(trials: Sequence[Trial], original: Variant) -> list[Trial]:
    """The trials, those that are slower than the original refused."""
    judged = []
    for trial in trials:
        if trial.variant.accepted and (times := relative_latency(trial.variant, original)) > SLOWER:
            judged.append(refused(trial, f"slower: {times:.2f} times the original's latency"))
        else:
            judged.append(trial)
    return judged


def best_lossless(trials: Sequence[Trial], original: Trial) -> Trial:
    """The form to package; the original where nothing is gained."""
    accepted = [trial for trial in trials if trial.variant.accepted]
    portable = [trial for trial in accepted if trial.variant.name != "extended" and _gains(trial.variant, original)]
    best = min(portable, key=lambda trial: (trial.variant.nodes or 0, trial.variant.size_bytes or 0), default=original)
    for trial in accepted:
        gain = relative_latency(trial.variant, original.variant) / relative_latency(best.variant, original.variant)
        if trial.variant.name == "extended" and gain < 1 / SLOWER:
            return trial
    return best


def _gains(variant: Variant, original: Trial) -> bool:
    nodes, size = original.variant.nodes or 0, original.variant.size_bytes or 0
    return (variant.nodes or 0) < nodes or (variant.size_bytes or 0) < _SMALLER * size


def best_lossy(trials: Sequence[Trial], original: Variant) -> Trial | None:
    """The form to package; None where none is accepted."""
    accepted = [trial for trial in trials if trial.variant.accepted]
    if not accepted:
        return None
    times = {trial.variant.name: relative_latency(trial.variant, original) for trial in accepted}
    fastest = min(times.values())
    near = [trial for trial in accepted if times[trial.variant.name] <= fastest * _AS_FAST]
    return max(near, key=lambda trial: (trial.variant.agreement, -(trial.variant.max_abs_error or 0.0)))


def nothing_passes(quantize: str, trials: Sequence[Trial], original: Variant, gate: float) -> GateFailed:
    """The refusal where no form was accepted, with the numbers of all of them."""
    slow = [trial.variant for trial in trials if trial.variant.latency_ms]
    detail = {
        "before": original.model_dump(mode="json"),
        "tried": [trial.variant.model_dump(mode="json") for trial in trials],
        "min_agreement": gate,
    }
    said = "; ".join(f"{trial.variant.name}: {trial.variant.reason}" for trial in trials) or "there is no such form"
    before = f"the model before agrees in {original.agreement:.4f}"
    if slow:
        size = min((variant.size_bytes or 0) / max(1, original.size_bytes or 1) for variant in slow)
        return GateFailed(
            f"no {quantize} form of the model is worth packaging: {said}; {before}",
            hint=f"package it without --quantize, or ask for a form by name for its size ({size:.2f} of the"
            f" original's): --quantize {_family(slow[0].name)}",
            detail=detail,
        )
    return GateFailed(
        f"no {quantize} form of the model passes the gate: {said}; {before}",
        hint="package it without --quantize, give more real rows with --samples or --calibration, or lower"
        " --min-agreement if that is good enough for what it is used for",
        detail=detail,
    )


def _family(name: str) -> str:
    return next(family for family in ("int8-static", "int8-dynamic", "fp16") if name.startswith(family))
