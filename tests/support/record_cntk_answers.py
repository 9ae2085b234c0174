"""Small CNTK models and CNTK's own answers, for the converter's tests: `python3.6 record_cntk_answers.py FOLDER`.

Runs in an environment of its own: Python 3.6, `pip install cntk==2.7.post2 "numpy<1.20" "scipy<1.6"`, and an MPI
library under the name libmpi.so.12 on LD_LIBRARY_PATH (Debian's OpenMPI 4 does for evaluation).

Writes one archive a family of cases: NAME.model as CNTK saves it, and NAME.npz with the inputs by uid (`in:`), the
lengths of their sequences (`lengths`), and the outputs in order (`out:0`, …). Sequences are padded with zeros. Where a
case names an operator of older versions, the saved file is made to name it before CNTK answers. A case that CNTK itself
refuses is told of, and left out.
"""

import importlib.util
import io
import os
import sys
import tempfile
import traceback
import zipfile

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
FAMILIES = (
    "elementwise",
    "shapes",
    "products",
    "convolution",
    "reduction",
    "sequence",
    "recurrence",
    "layers",
    "losses",
    "models",
)
LENGTHS = (4, 2, 5, 1, 3)
ROWS = 3
# An entry `op` of a function: a SizeT value.
_OPERATOR = b"\n\x02op\x12\x06\x08\x02\x10\x03(%c"


def drawn(variable, kind, rng, lengths):
    """Values of one input: a batch of rows, or a list of sequences of these lengths."""
    shape = tuple(ROWS if size < 0 else size for size in variable.shape)
    dynamic = len(variable.dynamic_axes)
    if dynamic == 0:
        return values(shape, kind, rng)
    if dynamic == 1:
        return values((len(lengths) if lengths else ROWS,) + shape, kind, rng)
    return [values((length,) + shape, kind, rng) for length in lengths]


def values(shape, kind, rng):
    """Normal by default; `kind` is a name below, (low, high), or a function of shape and generator."""
    if callable(kind):
        return kind(shape, rng).astype(np.float32)
    if kind == "onehot":
        hot = rng.randint(0, shape[-1], shape[:-1])
        return np.eye(shape[-1], dtype=np.float32)[hot]
    if kind == "edges":
        return rng.choice([-200, -3, -1, -1e-38, 0, 1e-38, 0.5, 1, 3, 80], shape).astype(np.float32)
    if kind == "binary":
        return rng.randint(0, 2, shape).astype(np.float32)
    if kind == "whole":
        return rng.randint(-3, 4, shape).astype(np.float32)
    if isinstance(kind, tuple):
        return rng.uniform(kind[0], kind[1], shape).astype(np.float32)
    return rng.normal(0, 1, shape).astype(np.float32)


def padded(sequences):
    """Sequences side by side, zeros after their ends."""
    longest = max(len(sequence) for sequence in sequences)
    whole = np.zeros((len(sequences), longest) + sequences[0].shape[1:], sequences[0].dtype)
    for row, sequence in enumerate(sequences):
        whole[row, : len(sequence)] = sequence
    return whole


def record(function, kinds, archive, name):
    """One case into the archive."""
    import cntk as C

    rng = np.random.RandomState(sum(map(ord, name)))
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "case.model")
        function.save(path)
        if "operator" in kinds:
            rewrite(path, _OPERATOR % kinds["operator"][0], _OPERATOR % kinds["operator"][1])
        if "pads" in kinds:
            for key, pads in kinds["pads"].items():
                rewrite(path, shape_entry(key, [0] * len(pads)), shape_entry(key, pads))
        if "operator" in kinds or "pads" in kinds:
            function = C.Function.load(path)
        with open(path, "rb") as stream:
            model = stream.read()
    feeds, kept = {}, {}
    sequences = any(len(variable.dynamic_axes) > 1 for variable in function.arguments)
    lengths = kinds.get("lengths", LENGTHS) if sequences else ()
    for variable in function.arguments:
        given = drawn(variable, kinds.get(variable.name), rng, lengths)
        if variable.dtype == np.float64:
            given = [item.astype(np.float64) for item in given] if isinstance(given, list) else given.astype(np.float64)
        feeds[variable] = fed(variable, given)
        kept["in:" + variable.uid] = padded(given) if isinstance(given, list) else given
        if isinstance(given, list):
            kept["lengths"] = np.array([len(item) for item in given], np.int64)
    for index, output in enumerate(function.outputs):
        answer = C.combine([output]).eval(feeds)
        if (isinstance(answer, list) and len({len(item) for item in answer}) > 1) or len(output.dynamic_axes) > 1:
            answer = [np.asarray(item) for item in answer]
            kept["outlengths:%d" % index] = np.array([len(item) for item in answer], np.int64)
            answer = padded(answer)
        kept["out:%d" % index] = np.asarray(answer)
    archive.writestr(_entry(name + ".model"), model)
    content = io.BytesIO()
    np.savez_compressed(content, **kept)
    archive.writestr(_entry(name + ".npz"), content.getvalue())


def rewrite(path, old, new):
    """Put other bytes in place of some in a saved file; as many, so that no size changes."""
    with open(path, "rb") as stream:
        content = stream.read()
    if old not in content or len(old) != len(new):
        raise ValueError("the file has no %r" % old)
    with open(path, "wb") as stream:
        stream.write(content.replace(old, new))


def shape_entry(key, sizes):
    """An attribute that is a shape, as it is saved: the fastest axis first."""
    value = b"\x08\x02\x10\x07J" + bytes([len(sizes) + 2, 10, len(sizes)] + sizes)
    name = key.encode()
    return bytes([10, len(name)]) + name + bytes([18, len(value)]) + value


def fed(variable, given):
    """The values as CNTK takes them: sparse ones as CSR matrices."""
    from scipy.sparse import csr_matrix

    if not variable.is_sparse:
        return given
    return [csr_matrix(item) for item in given] if isinstance(given, list) else csr_matrix(given)


def _entry(name):
    info = zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0))
    info.compress_type = zipfile.ZIP_DEFLATED
    return info


def families(wanted):
    """Modules of cases, by name."""
    for name in FAMILIES:
        if not wanted or name in wanted:
            spec = importlib.util.spec_from_file_location(name, os.path.join(HERE, "cntk_cases", name + ".py"))
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            yield name, module


def main():
    """Record all families, or those named after the folder."""
    import cntk as C

    folder = sys.argv[1]
    failed = 0
    for family, module in families(sys.argv[2:]):
        with zipfile.ZipFile(os.path.join(folder, family + ".zip"), "w") as archive:
            for name, (build, kinds) in sorted(module.CASES.items()):
                np.random.seed(7)
                C.cntk_py.set_fixed_random_seed(7)
                try:
                    record(build(), kinds, archive, name)
                except Exception as error:
                    failed += 1
                    last = traceback.format_exc() if os.environ.get("VERBOSE") else str(error).splitlines()[0]
                    sys.stderr.write("%s/%s: %s\n" % (family, name, last))
    sys.stderr.write("%d cases failed\n" % failed)


if __name__ == "__main__":
    main()
