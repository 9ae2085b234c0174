"""The fixtures of PyTorch in the table of ``fidelity.py``."""

import json
import re
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from fidelity import Row, answers_of, differences, fixture_feeds, refusal

from packager.convert import convert
from packager.convert.environment import EnvironmentChoice
from packager.core.conversion import ModelSource
from packager.core.errors import DrayError


def pytorch_rows(folder: Path) -> Iterable[Row]:
    """One row a model file: state dicts with their class, pickled modules trusted, and TorchScript as it is."""
    for model in sorted(folder.glob("model*.p*")):
        name, started = f"{folder.parent.name}/{folder.name}/{model.name}", time.perf_counter()
        options, trust = _pytorch_options(folder, model)
        with tempfile.TemporaryDirectory() as scratch:
            work = Path(scratch) / "work"
            work.mkdir()
            if "class_args" in options:
                options["class_args"] = str(_written(Path(scratch) / "args.json", options["class_args"]))
            try:
                result = convert(
                    ModelSource(model),
                    workdir=work,
                    samples=folder / "inputs.npz",
                    options=options,
                    trust=trust,
                    environment=EnvironmentChoice("auto"),
                )
            except DrayError as error:
                yield Row(name, refusal(error))
                continue
            yield _compared(name, ort.InferenceSession(result.onnx_path), folder, time.perf_counter() - started)


def _pytorch_options(folder: Path, model: Path) -> tuple[dict[str, Any], bool]:
    """What the files of a fixture say of its class, and whether the file is a pickled module, which names its own."""
    named = re.findall(rb"cpt_defs\n(\w+)\n", b"".join(path.read_bytes() for path in folder.glob("model*.p*")))
    described = folder / "model.json"
    about = json.loads(described.read_text(encoding="utf-8")) if described.exists() else {}
    kind = about.get("class") or (f"pt_defs:{named[0].decode()}" if named else None)
    options = {"class": kind, "class_args": about.get("kwargs"), "code_folders": [str(folder.parent.parent)]}
    pickled = b"cpt_defs\n" in model.read_bytes()
    return {key: value for key, value in options.items() if value and not (pickled and key == "class")}, pickled


def _written(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def _compared(name: str, session: ort.InferenceSession, folder: Path, seconds: float) -> Row:
    with np.load(folder / "expected.npz", allow_pickle=False) as archive:
        expected = {key: archive[key] for key in archive.files}
    given = answers_of(session, fixture_feeds(folder / "inputs.npz", session))
    if len(expected) == len(given) == 1:  # a fixture's own name for its only output
        expected = dict(zip(given, expected.values(), strict=True))
    rows, labels, worst, over = differences(expected, given)
    return Row(name, "converted", rows, labels, worst, seconds, "", silent=bool(labels or over or not rows))
