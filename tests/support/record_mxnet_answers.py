# ruff: noqa: PTH110, B905, BLE001, PTH103, PTH118, PTH120, PTH123, PTH202, RUF059, T201, UP031
# mypy: ignore-errors
"""Answers of the real MXNet, recorded for the tests; runs in an environment of its own, with Python 3.8 to 3.11.

    uv venv --python 3.8 mx && uv pip install --python mx/bin/python mxnet==1.9.1 "numpy<1.24"
    mx/bin/python tests/support/record_mxnet_answers.py

writes tests/fixtures/mxnet/operators.tar.xz, a small model and its answers a case, and
packager/converters/mxnet/signatures.json, what MXNet declares of every operator that a case uses.
"""

import ctypes
import io
import json
import os
import pickle
import re
import subprocess
import sys
import tarfile
import tempfile

import mxnet as mx
import numpy as np
from mxnet.base import _LIB, OpHandle, check_call, mx_uint

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
ANSWERS = os.path.join(ROOT, "tests", "fixtures", "mxnet", "operators.tar.xz")
SIGNATURES = os.path.join(ROOT, "packager", "converters", "mxnet", "signatures.json")


def evaluate(symbol, inputs, rng, given):
    """Parameters, auxiliary states and answers of a symbol."""
    shapes = {name: value.shape for name, value in inputs.items()}
    shapes.update({name: value.shape for name, value in given.items()})
    arg_shapes, _, aux_shapes = symbol.infer_shape(**shapes)
    if arg_shapes is None:
        raise ValueError("shapes are not known")
    args, aux = {}, {}
    for name, shape in zip(symbol.list_arguments(), arg_shapes):
        value = inputs.get(name, given.get(name))
        if value is None:
            value = drawn(rng, shape)
        args[name] = mx.nd.array(value, dtype=value.dtype)
    for name, shape in zip(symbol.list_auxiliary_states(), aux_shapes):
        aux[name] = mx.nd.array(rng.uniform(0.5, 1.5, shape).astype(np.float32))
    executor = symbol.bind(mx.cpu(), args, aux_states=aux, grad_req="null")
    answers = [output.asnumpy() for output in executor.forward(is_train=False)]
    parameters = {"arg:" + name: value for name, value in args.items() if not is_outside(name, inputs)}
    parameters.update({"aux:" + name: value for name, value in aux.items()})
    return parameters, answers


def drawn(rng, shape):
    """One of a few numbers each, so that the archive stays small; answers neither vanish nor grow."""
    levels = rng.integers(-7, 8, shape) / 5.0
    return (levels / max(1.0, np.sqrt(np.prod(shape[1:])))).astype(np.float32)


def is_outside(name, inputs):
    return name in inputs or name.endswith("_label") or name == "label"


def files_of(case, number):
    """The files of one case, by name."""
    name, symbol, inputs, more = case
    rng = np.random.default_rng(number)
    parameters, answers = evaluate(symbol, inputs, rng, more.get("given", {}))
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "x.params")
        mx.nd.save(path, parameters)
        with open(path, "rb") as stream:
            params = stream.read()
    symbol_text = json.dumps(json.loads(symbol.tojson()), separators=(",", ":"))
    arrays = {"in:" + key: value for key, value in inputs.items() if not key.endswith("label")}
    arrays.update({"out:%d" % index: value for index, value in enumerate(answers)})
    return {
        "model-symbol.json": symbol_text.encode(),
        "model-0000.params": params,
        "arrays.npz": packed(arrays),
        "case.json": json.dumps({"outputs": symbol.list_outputs(), "input": more.get("input", [])}).encode(),
    }


def packed(arrays):
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def add(archive, case, files):
    for name, content in files.items():
        entry = tarfile.TarInfo(case + "/" + name)
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))


def files_apart(name):
    """The files of a case that MXNet refuses with MKLDNN, from a process without; None where it refuses there too."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "files.pickle")
        argv = [sys.executable, os.path.abspath(__file__), name, path]
        subprocess.run(argv, env=dict(os.environ, MXNET_MKLDNN_ENABLED="0"), stdout=subprocess.DEVNULL)
        if not os.path.exists(path):
            return None
        with open(path, "rb") as stream:
            return pickle.load(stream)


def record(cases):
    """Write all cases; returns the operators that they use."""
    used = set()
    os.makedirs(os.path.dirname(ANSWERS), exist_ok=True)
    with tarfile.open(ANSWERS, "w:xz", preset=9) as archive:
        for number, case in enumerate(cases):
            try:
                files = files_of(case, number)
            except Exception as error:
                files = files_apart(case[0]) if "MXNET_MKLDNN_ENABLED" not in os.environ else None
                if files is not None:
                    print("recorded without MKLDNN:", case[0])
                    add(archive, case[0], files)
                    continue
                print("NOT RECORDED", case[0], str(error).strip().splitlines()[-1][:250])
                continue
            for node in json.loads(files["model-symbol.json"].decode())["nodes"]:
                used.add(node["op"])
            add(archive, case[0], files)
    print(len(cases), "cases,", os.path.getsize(ANSWERS) >> 10, "KiB")
    return used - {"null"}


def declared(name):
    """Arguments of an operator as MXNet declares them, and its own name."""
    handle = OpHandle()
    check_call(_LIB.NNGetOpHandle(ctypes.c_char_p(name.encode()), ctypes.byref(handle)))
    real, text, key, kind = (ctypes.c_char_p() for _ in range(4))
    count = mx_uint()
    names, types, texts = (ctypes.POINTER(ctypes.c_char_p)() for _ in range(3))
    check_call(
        _LIB.MXSymbolGetAtomicSymbolInfo(
            handle,
            ctypes.byref(real),
            ctypes.byref(text),
            ctypes.byref(count),
            ctypes.byref(names),
            ctypes.byref(types),
            ctypes.byref(texts),
            ctypes.byref(key),
            ctypes.byref(kind),
        )
    )
    arguments = [(names[i].decode(), types[i].decode()) for i in range(count.value)]
    if key.value and key.value.decode() not in dict(arguments):
        arguments.append((key.value.decode(), "int, optional, default='0'"))
    return real.value.decode(), handle.value, arguments


def attribute(kind):
    """[type, whether None is a value, default, choices]."""
    found = re.search(r"default=(.*)$", kind)
    default = found.group(1).strip().strip("'") if found else None
    optional = "or None" in kind
    choices = []
    if kind.startswith("{"):
        choices = [item.strip().strip("'") for item in kind[1 : kind.index("}")].split(",")]
        optional = "None" in choices
        choices = [item for item in choices if item != "None"]
        name = "enum"
    elif kind.startswith("boolean"):
        name = "bool"
    elif kind.startswith(("int", "long")):
        name = "int"
    elif kind.startswith(("float", "double")):
        name = "float"
    elif kind.startswith("Shape"):
        name = "shape"
    elif kind.startswith("tuple of <float>"):
        name = "floats"
    else:
        name = "text"
        default = default or ""
    if default is None and "optional" in kind:
        default = "None" if optional else ""
    return [name, optional, default, choices]


def every_name():
    """All names by operator."""
    size, listed = mx_uint(), ctypes.POINTER(ctypes.c_char_p)()
    check_call(_LIB.MXListAllOpNames(ctypes.byref(size), ctypes.byref(listed)))
    names = {}
    # Copied first: the next call to MXNet reuses the list's memory.
    for name in [listed[index].decode() for index in range(size.value)]:
        if not name.startswith("_backward"):
            names.setdefault(declared(name)[0], []).append(name)
    return names


def write_signatures(used):
    names, signatures = every_name(), {}
    for op in sorted({declared(name)[0] for name in used}):
        _, _, arguments = declared(op)
        tensors = [name for name, kind in arguments if "NDArray" in kind or "Symbol" in kind]
        variadic = any("[]" in kind for name, kind in arguments if name in tensors)
        if op == "_npi_concatenate":  # declared as dim, written as axis
            arguments = [("axis" if name == "dim" else name, kind) for name, kind in arguments]
        signatures[op] = {
            "aliases": sorted(set(names.get(op, [])) - {op}),
            "inputs": tensors,
            "variadic": variadic,
            "attributes": {name: attribute(kind) for name, kind in arguments if name not in tensors},
        }
    with open(SIGNATURES, "w") as stream:
        stream.write("{\n")
        lines = ['"%s": %s' % (name, json.dumps(entry)) for name, entry in sorted(signatures.items())]
        stream.write(",\n".join(lines) + "\n}\n")
    print(len(signatures), "signatures")


if __name__ == "__main__":
    from mxnet_cases import all_cases

    if len(sys.argv) == 3:
        wanted = [(number, case) for number, case in enumerate(all_cases()) if case[0] == sys.argv[1]]
        files = files_of(wanted[0][1], wanted[0][0])
        with open(sys.argv[2], "wb") as stream:
            pickle.dump(files, stream)
    else:
        write_signatures(record(all_cases()))
