"""Save, convert and compare many small models in one process: ``python -P -m tests.support.torch_batch.run FOLDER``.

Run in an environment with PyTorch; leaves ``outcomes.json``: by case, what came out of it.
"""

import argparse
import gc
import json
import sys
import time
import traceback
import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import nn

from packager.convert.judgement import Checks
from packager.convert.safety import allowed
from packager.convert.verification import verify
from packager.converters.pytorch import TorchConverter
from packager.core.conversion import ConversionRequest, InputHint
from packager.core.errors import DrayError
from packager.core.progress import SilentProgress
from packager.core.unpickling import limit_unpickling
from tests.support.torch_batch import models
from tests.support.torch_operators import remember_operators

CLASS = "tests.support.torch_batch.models:"
RNG = np.random.default_rng(7)


def floats(*shape, dtype=np.float32):
    return RNG.standard_normal(shape).astype(dtype)


def hint(name, dtype, *shape):
    return InputHint(name, dtype, shape)


class Case:
    """One model as a file, and what dray is told of it."""

    def __init__(self, model, *, form="pickled", samples=None, kind=None, save=None, **request):
        self.model, self.form, self.samples, self.kind, self.save = model, form, samples, kind, save
        self.options = request.pop("options", {})
        self.request = request


def program(module, example, **shapes):
    return torch.export.export(module.eval(), tuple(example.values()), dynamic_shapes=shapes or None)


B = torch.export.Dim("batch")


def cases():
    yield "sequential of every layer", Case(models.every_layer(), samples={"input": floats(9, 4, 8, 8)})
    yield "resnet", Case(models.ResNet(), inputs=(hint("image", "FP32", "N", 3, 64, 64),))
    yield "unet", Case(models.UNet(), inputs=(hint("x", "FP32", "N", 3, 16, 16),))
    for kind in ("LSTM", "GRU", "RNN"):
        yield f"{kind} bidirectional", Case(models.Recurrent(kind), samples={"x": floats(6, 7, 6)})
    yield "LSTM of any length", Case(models.Recurrent(), samples={"x": floats(6, 7, 6)}, options={"dynamic": ["x:1"]})
    yield "GRU of any length", Case(models.Recurrent("GRU"), inputs=(hint("x", "FP32", "N", "L", 6),))
    ids, mask = hint("ids", "INT64", "N", "L"), hint("mask", "BOOL", "N", "L")
    yield "transformer with a mask", Case(models.TinyTransformer(), inputs=(ids, mask))
    yield "attention", Case(models.Attention(), samples={"query": floats(5, 3, 8), "memory": floats(5, 6, 8)})
    yield "embedding bag", Case(models.Bag(), inputs=(hint("words", "INT64", "N", 5),))
    yield (
        "tokens as INT32",
        Case(models.MultiIO(), inputs=(hint("tokens", "INT32", "N", 9), hint("num", "FP32", "N", 4))),
    )
    for mode in ("nearest", "bilinear", "bicubic"):
        yield f"interpolate {mode}", Case(models.Resize(mode), inputs=(hint("x", "FP32", "N", 2, 5, 6),))
    yield "algebra", Case(models.Algebra(), samples={"a": floats(6, 3, 4), "b": floats(6, 4, 5)})
    for form in ("tuple", "single", "named", "dataclass", "nested", "collision", "number"):
        yield f"returns {form}", Case(models.Returns(form), samples={"x": floats(8, 4)})
    yield "doubles", Case(models.Returns("single").double(), samples={"x": floats(8, 4, dtype=np.float64)})
    yield "halves", Case(models.Returns("single").half(), samples={"x": floats(8, 4)}, atol=1e-2)
    yield "bfloat16", Case(models.Returns("single").bfloat16(), samples={"x": floats(8, 4)})
    yield "float64 samples of a float32 model", Case(models.Returns(), samples={"x": floats(8, 4, dtype=np.float64)})
    yield "whole numbers for floats", Case(models.Returns(), samples={"x": RNG.integers(0, 9, (8, 4))})
    yield "first layer", Case(nn.Sequential(nn.Linear(6, 3), nn.ReLU()))
    yield "nothing known", Case(models.ResNet())
    yield "wrong samples", Case(models.Returns(), samples={"x": floats(8, 5)})
    yield (
        "samples of another name",
        Case(models.Attention(), samples={"query": floats(5, 3, 8), "keys": floats(5, 6, 8)}),
    )
    yield "fixed batch", Case(models.Frozen(), inputs=(hint("x", "FP32", 5, 4),))
    yield "frozen batch", Case(models.Frozen(), samples={"x": floats(5, 4)})
    yield (
        "frozen sequence",
        Case(models.FrozenSequence(), samples={"x": floats(5, 20, 8)}, options={"dynamic": ["x:1"]}),
    )
    yield "branch", Case(models.Branch(), samples={"x": floats(8, 4)})
    yield "noise", Case(models.Noise(), samples={"x": floats(8, 4)})
    yield "counter", Case(models.Counter(), samples={"x": floats(8, 4)})
    yield "torch.cond", Case(models.Conditional(), samples={"x": floats(8, 4)})
    yield "unet of any even size", Case(models.UNet(), inputs=(hint("x", "FP32", "N", 3, "H", "W"),))
    both = {"ids": RNG.integers(0, 200, (6, 7)), "mask": np.ones((6, 7), bool)}
    yield "two axes of one size", Case(models.TinyTransformer(), samples=both, options={"dynamic": ["ids:1", "mask:1"]})
    yield "states first", Case(models.StatesFirst(), samples={"x": floats(6, 5, 4)})
    yield "no ONNX form", Case(models.Eigen(), samples={"x": floats(6, 4, 4)})
    yield "complex answers", Case(models.Spectrum(), samples={"x": floats(6, 8)})
    yield "sizes by values", Case(models.Sizes(), samples={"x": floats(6, 8)})
    yield "positional", Case(models.Positional(), samples={"one": floats(6, 2), "two": floats(6, 3)})
    yield "optional argument", Case(models.Optional(), samples={"x": floats(6, 4), "scale": floats(6, 1)})
    yield "opset 17", Case(models.Returns(), samples={"x": floats(6, 4)}, opset=17)
    yield "opset 20", Case(models.Returns(), samples={"x": floats(6, 4)}, opset=20)
    quantised = torch.ao.quantization.quantize_dynamic(nn.Sequential(nn.Linear(4, 3)), {nn.Linear})
    yield "words of any number", Case(models.Words(), inputs=(hint("tokens", "INT64", "N", "T"),))
    yield "squeezed", Case(models.Squeezed(), samples={"x": floats(6, 4)})
    yield "one step", Case(models.OneStep(), samples={"x": floats(6, 5, 4)}, options={"dynamic": ["x:1"]})
    yield "nearest of few", Case(models.Nearest(), samples={"x": floats(6, 4)})
    yield "quantised", Case(quantised, samples={"input": floats(6, 4)})
    yield from of_scripts()
    yield from of_programs()
    yield from of_weights()


def of_scripts():
    tokens, num = RNG.integers(0, 200, (6, 20)), floats(6, 4)
    both = {"tokens": tokens, "num": num}
    yield "script", Case(torch.jit.script(models.UNet()), form="script", inputs=(hint("x", "FP32", "N", 3, 16, 16),))
    yield "script with a dict", Case(torch.jit.script(models.MultiIO()), form="script", samples=both)
    yield "script with a branch", Case(torch.jit.script(models.RowBranch()), form="script", samples={"x": floats(8, 4)})
    traced = torch.jit.trace(models.UNet().eval(), torch.randn(2, 3, 16, 16))
    yield "traced", Case(traced, form="script", inputs=(hint("x", "FP32", "N", 3, 16, 16),))
    yield "script with defaults", Case(torch.jit.script(models.Scaled()), form="script", samples={"x": floats(8, 4)})
    frozen = torch.jit.trace(models.Frozen(), torch.randn(5, 4))
    yield "traced with a frozen batch", Case(frozen, form="script", samples={"x": floats(5, 4)})


def of_programs():
    example = {"tokens": torch.randint(0, 200, (3, 20)), "num": torch.randn(3, 4)}
    yield "program", Case(
        program(models.MultiIO(), example, tokens={0: B}, num={0: B}), form="program", samples={
            "tokens": RNG.integers(0, 200, (6, 20)), "num": floats(6, 4)}
    )  # fmt: skip
    free = program(models.UNet(), {"x": torch.randn(3, 3, 16, 16)}, x={0: B})
    yield "program without samples", Case(free, form="program")
    yield "program with a frozen batch", Case(program(models.Returns(), {"x": torch.randn(2, 4)}), form="program")
    fixed = Case(
        program(models.Returns("single"), {"x": torch.randn(2, 4)}), form="program", inputs=(hint("x", "FP32", 2, 4),)
    )
    yield "program with a fixed batch", fixed


def of_weights():
    samples = {"x": floats(6, 4)}
    state = models.Returns().state_dict()

    def case(content, kind="Returns", **more):
        return Case(content, form="weights", kind=kind, samples=samples, **more)

    yield "weights", case(state)
    yield "weights of DataParallel", case({f"module.{name}": value for name, value in state.items()})
    yield "weights of torch.compile", case({f"_orig_mod.{name}": value for name, value in state.items()})
    named = {f"model.{name}": value for name, value in state.items()}
    lightning = {"epoch": 3, "state_dict": named, "optimizer_states": []}
    lightning["state_dict"]["loss.weight"] = torch.ones(2)
    yield "weights of Lightning", case(lightning)
    yield "weights in the old format", case(state, options={"old": True})
    yield "weights in safetensors", Case(state, form="safetensors", kind="Returns", samples=samples)
    tied = {"e.weight": models.Tied().e.weight.detach()}
    ids = {"ids": RNG.integers(0, 25, (6, 4))}
    yield "weights by one name", Case(tied, form="safetensors", kind="Tied", samples=ids)
    training = {"state_dict": state, "best": np.float64(0.5), "args": argparse.Namespace(lr=0.1), "path": Path("x")}
    yield "weights beside other things", case(training)
    yield (
        "rows that make no call",
        Case(models.Frozen(), samples={"x": floats(7, 4)}, inputs=(hint("x", "FP32", 5, 4),)),
    )
    yield "weights without a class", case(state, kind=None)
    yield "weights of another class", case(state, kind="TinyTransformer")
    yield "class that is not there", case(state, kind="Return")
    yield "wrong arguments", case(models.ResNet().state_dict(), kind="ResNet", options={"arguments": {"depth": 3}})
    yield "other sizes", case(models.ResNet().state_dict(), kind="ResNet", options={"arguments": {"width": 4}})


def saved(case, folder):
    """The model as a file."""
    if case.form == "script":
        torch.jit.save(case.model, folder / "model.pt")
        return folder / "model.pt"
    if case.form == "program":
        torch.export.save(case.model, folder / "model.pt2")
        return folder / "model.pt2"
    if case.form == "safetensors":
        return as_safetensors(case.model, folder / "model.safetensors")
    path = folder / "model.pth"
    torch.save(case.model, path, _use_new_zipfile_serialization=not case.options.pop("old", False))
    return path


def as_safetensors(state, path):
    header, body = {"__metadata__": {"format": "pt"}}, b""
    kinds = {torch.float32: "F32", torch.int64: "I64"}
    for name, tensor in state.items():
        content = tensor.contiguous().numpy().tobytes()
        place = [len(body), len(body) + len(content)]
        header[name] = {"dtype": kinds[tensor.dtype], "shape": list(tensor.shape), "data_offsets": place}
        body += content
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + body)
    return path


def outcome(name, case, folder):
    """What dray makes of the file, in this process: converted and verified, or refused."""
    folder.mkdir()
    path = saved(case, folder)
    options = case.options
    if case.kind:
        options = {**options, "class": CLASS + case.kind}
    if "arguments" in options:
        arguments = folder / "arguments.json"
        arguments.write_text(json.dumps(options.pop("arguments")))
        options["class_args"] = str(arguments)
    samples = None
    if case.samples is not None:
        samples = folder / "samples.npz"
        np.savez(samples, **case.samples)
    (folder / "result").mkdir()
    request = ConversionRequest(
        source=path, workdir=folder / "result", samples=samples, options=options, **case.request
    )
    # As in a child of dray's, where a file that was read may import what the lists hold.
    named = {(kind.__module__, kind.__name__) for kind in vars(models).values() if isinstance(kind, type)}
    quantised = {("torch.ao.nn.quantized.dynamic.modules.linear", "Linear")}
    limit_unpickling(allowed(("torch",)) | named | quantised if name != "quantised" else None)
    try:
        raw = TorchConverter().convert(request, SilentProgress())
        verified = verify(raw, Checks(atol=request.atol, rtol=request.rtol, seed=1))
    except DrayError as error:
        return {"code": error.code, "message": error.message, "hint": error.hint}
    return described(raw, verified)


def described(raw, verified):
    signature = verified.graph.signature
    model = onnx.load(raw.onnx)
    compared = verified.parity.conversion.outputs
    return {
        "code": "ok",
        "inputs": {spec.name: [spec.dtype, *spec.shape] for spec in signature.inputs},
        "outputs": {spec.name: [spec.dtype, *spec.shape] for spec in signature.outputs},
        "notes": list(raw.notes),
        "weak": raw.coverage.weak,
        "batchable": verified.batch_safety.batchable,
        "opset": verified.graph.info.opset,
        "error": max(output.max_abs_error or 0.0 for output in compared.values()),
        "operators": sorted({node.op_type for node in model.graph.node}),
        "axes": {
            value.name: [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
            for value in model.graph.input
        },
        "provenance": any(node.metadata_props or node.doc_string for node in model.graph.node),
    }


def main(folder):
    remember_operators()
    gc.freeze()
    warnings.simplefilter("ignore")
    torch.manual_seed(0)
    torch.set_num_threads(1)
    outcomes = {}
    for index, (name, case) in enumerate(cases()):
        started = time.perf_counter()
        try:
            outcomes[name] = outcome(name, case, folder / str(index))
        except Exception:  # noqa: BLE001 - what the tests are there to find
            outcomes[name] = {"code": "UNEXPECTED", "message": traceback.format_exc(), "hint": ""}
        outcomes[name]["seconds"] = round(time.perf_counter() - started, 2)
    (folder / "outcomes.json").write_text(json.dumps(outcomes, indent=1))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
