"""Which outputs of a model are losses and metrics of its training, and are left out beside what it predicts."""

from dataclasses import replace

from packager.converters.cntk.model import INPUT, Model, Output, reachable

# Blocks of cntk.losses and cntk.metrics, and numbers of primitives that are losses by themselves.
_LOSSES = {
    "BinaryCrossEntropy", "ClassificationError", "CrossEntropyWithSoftmax", "EditDistanceError", "ForwardBackward",
    "LambdaRank", "NCE", "NDCG", "SquaredError", "WeightedBinaryCrossEntropy", "34", "35", "36", "48", "59", "60", "61",
    "66", "90",
}  # fmt: skip


def without_losses(model: Model) -> tuple[Model, tuple[str, ...]]:
    """The model without outputs that are losses, and what there is to say of it.

    An output is left out where it is a loss by name and needs an input, its label, that no other output needs. A model
    that is a loss alone stays as it is: its label is an input then.
    """
    losses = [output for output in model.outputs if _LOSSES.intersection(output.functions)]
    others = [output for output in model.outputs if output not in losses]
    if not losses:
        return model, ()
    if not others:
        return model, ("all outputs are losses of training, with their labels as inputs",)
    needed = _inputs(model, others)
    gone = [output for output in losses if _inputs(model, [output]) - needed]
    if not gone:
        return model, ()
    kept = tuple(output for output in model.outputs if output not in gone)
    names = ", ".join(output.name or output.uid for output in gone)
    return replace(model, outputs=kept), (f"left out as losses of training, which need labels: {names}",)


def _inputs(model: Model, outputs: list[Output]) -> set[str]:
    return {uid for uid in reachable(model, outputs) if uid in model.variables and model.variables[uid].kind == INPUT}
