"""CNTK's own answers to samples: `python3.6 reference_script.py REQUEST.json MODEL SAMPLES ANSWERS`.

Stands alone: Python 3.6, numpy, and what CNTK 2.7 installs beside itself. REQUEST.json holds `inputs` (pairs of CNTK's
uid and the name in the samples), `outputs` (pairs of a place among the model's outputs and the name in the answers) and
`lengths` (the name of the lengths in the samples, or null). Prints CNTK's version.
"""

import json
import sys
from typing import Any

import numpy as np


def fed(variable: Any, rows: Any, lengths: Any) -> Any:
    """Values of one input as CNTK takes them: an array, a list of sequences, CSR matrices."""
    rows = rows.astype(variable.dtype)
    dynamic = len(variable.dynamic_axes)
    if dynamic > 1:
        rows = [row[: lengths[number]] if lengths is not None else row for number, row in enumerate(rows)]
    if not variable.is_sparse:
        return rows
    from scipy.sparse import csr_matrix

    return [csr_matrix(row) for row in rows] if dynamic > 1 else csr_matrix(rows)


def whole(answer: Any, steps: int) -> Any:
    """Answers of one output as one array; sequences with zeros after their ends."""
    if not isinstance(answer, list):
        return np.asarray(answer)
    rows = [np.asarray(row) for row in answer]
    longest = max([steps] + [len(row) for row in rows])
    made = np.zeros((len(rows), longest, *rows[0].shape[1:]), rows[0].dtype)
    for number, row in enumerate(rows):
        made[number, : len(row)] = row
    return made


def main() -> None:
    """Answer the request."""
    import cntk

    plan, model_path, samples_path, answers_path = sys.argv[1:]
    with open(plan) as stream:
        request = json.load(stream)
    with np.load(samples_path) as archive:
        samples = {name: archive[name] for name in archive.files}
    model = cntk.Function.load(model_path)
    lengths = samples[request["lengths"]] if request["lengths"] else None
    given = {variable.uid: variable for variable in model.arguments}
    feeds = {}
    steps = 0
    for uid, name in request["inputs"]:
        feeds[given[uid]] = fed(given[uid], samples[name], lengths)
        if lengths is not None and len(given[uid].dynamic_axes) > 1:
            steps = samples[name].shape[1]
    answers = {}
    for place, name in request["outputs"]:
        output = cntk.combine([model.outputs[place]])
        used = {variable: feeds[variable] for variable in output.arguments}
        answers[name] = whole(output.eval(used), steps if len(model.outputs[place].dynamic_axes) > 1 else 0)
    np.savez(answers_path, **answers)
    sys.stdout.write(cntk.__version__)


if __name__ == "__main__":
    main()
