"""A circuit as people read it: what it is, what it takes, what was proven of it, and what nobody knows yet."""

from collections.abc import Iterable

from packager.core.circuit import CircuitSummary
from runtime.contract.circuit import Resources

# A label and its text, for a page of any width.
Line = tuple[str, str]

# What an agreement is a share of; the numbers beside it say nothing of how far scores may be off.
_JUDGED_BY = {
    "labels": "same label",
    "classes": "same highest score",
    "variance": "variance explained",
    "cosine": "mean cosine",
}
_OF_CLASSES = {"labels", "classes"}


def circuit(found: CircuitSummary) -> Iterable[Line]:
    """Its lines."""
    tried = ", ".join(f"{bits} bits {share:.4f}" for bits, share in found.tried.items())
    simulated = f"simulated on {', '.join(found.simulations)}" if found.simulations else "no simulation"
    made = "not synthesised, " if found.netlist_compared is None else "synthesised and not placed, "
    yield (
        "circuit",
        f"{found.bits} bits, answers in the graph's place; {simulated}; {made}not run on a device",
    )
    for name, share in found.agreement.items():
        how = _JUDGED_BY.get(found.judged_by.get(name, ""), "agreement")
        yield "agreement", f"{name}: {share:.4f} with the source ({how}); gate: at least {found.min_agreement:g}"
    if len(found.tried) > 1:
        yield "tried", tried
    yield "accuracy", _accuracy(found)
    for each in found.resources:
        yield "resources", f"{_resources(each)}, says {each.by}"
    yield "latency", f"{found.latency_cycles} cycles, a row every {_cycles(found.initiation_interval)} (simulated)"
    broken = {
        True: "; Verilog of a broken one was noticed",
        False: "; Verilog of a broken one was NOT noticed",
        None: "",
    }
    yield "proven", f"{found.compared} rows equal the integer reference, bit for bit"
    if found.netlist_compared is not None:
        yield "", f"{found.netlist_compared} of them asked of the netlist too, with equal answers"
    if found.mutants:
        yield "", f"{found.caught} of {found.mutants} broken circuits noticed{broken[found.broken_rtl]}"
    else:
        yield "", "it has no sum to break on purpose: that its rows would notice a fault was not tried"
    yield "project", found.project


def _accuracy(found: CircuitSummary) -> str:
    if (told := found.accuracy) is None and not _OF_CLASSES & set(found.judged_by.values()):
        return "none: the model answers with numbers, not with labels"
    if told is None:
        return "not measured: --truth FILE gives the right labels"
    return f"{told.before:.4f} -> {told.after:.4f} on {told.rows} rows ({told.output}, by --truth)"


def _resources(each: Resources) -> str:
    parts = [(each.luts, "LUT"), (each.flip_flops, "FF"), (each.dsps, "DSP")]
    return ", ".join(f"{count:,} {what}" for count, what in parts if count is not None)


def _cycles(count: int) -> str:
    return "cycle" if count == 1 else f"{count} cycles"
