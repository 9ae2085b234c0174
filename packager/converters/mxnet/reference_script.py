# mypy: ignore-errors
"""Asks MXNet itself: ``python reference_script.py SYMBOL PARAMS SAMPLES ANSWERS``.

Runs in MXNet's own environment, on Python 3.8 and newer, with numpy and mxnet alone; nothing of dray is there.
"""

import sys

import mxnet as mx
import numpy as np


def main(symbol_path, params_path, samples_path, answers_path):
    """Answers of the inference heads to all samples, by MXNet's names of them."""
    symbol = mx.sym.load(symbol_path)
    with np.load(samples_path, allow_pickle=False) as archive:
        samples = {name: archive[name] for name in archive.files}
    args, aux = split(mx.nd.load(params_path))
    shapes = {name: value.shape for name, value in samples.items()}
    arg_shapes, _, aux_shapes = symbol.infer_shape(**shapes)
    types = dict.fromkeys(samples, np.float32)
    types.update({name: np.dtype(value.dtype).type for name, value in args.items()})
    bound = {}
    for name, shape in zip(symbol.list_arguments(), arg_shapes):
        if name in samples:
            bound[name] = mx.nd.array(samples[name], dtype=samples[name].dtype)
        else:
            # Only labels are absent; their numbers do not matter at inference.
            bound[name] = args[name] if name in args else mx.nd.zeros(shape)
    states = {
        name: aux[name] if name in aux else mx.nd.zeros(shape)
        for name, shape in zip(symbol.list_auxiliary_states(), aux_shapes)
    }
    executor = symbol.bind(mx.cpu(), bound, aux_states=states, grad_req="null")
    outputs = executor.forward(is_train=False)
    answers = {}
    for name, output in zip(symbol.list_outputs(), outputs):
        answers.setdefault(name, output.asnumpy())
    np.savez(answers_path, **answers)


def split(loaded):
    """Arguments and auxiliary states; files without prefixes hold arguments that may be either."""
    args, aux = {}, {}
    for whole, value in loaded.items():
        prefix, colon, name = whole.partition(":")
        if colon and prefix in ("arg", "aux"):
            (args if prefix == "arg" else aux)[name] = value
        else:
            args[whole] = aux[whole] = value
    return args, aux


if __name__ == "__main__":
    main(*sys.argv[1:5])
