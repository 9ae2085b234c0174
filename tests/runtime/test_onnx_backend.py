"""The ONNX project's own test data through HTTP: every type and shape of the protocol, in JSON and in binary."""

import json
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import numpy_helper
from onnx.backend.test.case.node import collect_testcases

from runtime.codec import binary
from runtime.contract.dtypes import BY_ORT, DTYPES
from tests.runtime.test_app import over, served
from tests.support.packages import make_package
from tests.support.sessions import session_of

pytestmark = pytest.mark.slow
DATA = Path(onnx.__file__).parent / "backend" / "test" / "data"
PARTS = 4
Case = tuple[str, onnx.ModelProto, list[np.ndarray]]


@cache
def every_case() -> tuple[Case, ...]:
    """All of them; the ONNX project computes its answers anew at each collection."""
    return tuple(cases())


def cases() -> Iterator[Case]:
    """Name, model and inputs of the node tests and of the models that come with their data, in a stable order."""
    for case in sorted(collect_testcases(None), key=lambda case: case.name):
        if case.model is not None and case.data_sets:
            yield case.name, case.model, list(case.data_sets[0][0])
    for kind in ("simple", "light", "pytorch-converted", "pytorch-operator"):
        for folder in sorted((DATA / kind).glob("test_*")):
            data = folder / "test_data_set_0"
            if data.is_dir() and (folder / "model.onnx").exists():
                files = sorted(data.glob("input_*.pb"), key=lambda path: int(path.stem.partition("_")[2]))
                yield folder.name, onnx.load(folder / "model.onnx"), [tensor(path) for path in files]


@dataclass(frozen=True)
class Prepared:
    """A case that the protocol can carry, as a package, with what ONNX Runtime itself answers."""

    name: str
    package: Path
    inputs: dict[str, np.ndarray]
    expected: dict[str, np.ndarray]


@pytest.mark.filterwarnings("ignore")  # of the project's own reference code
@pytest.mark.parametrize("part", range(PARTS))
def test_what_the_onnx_project_expects_comes_back_over_http(
    part: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ort.set_default_logger_severity(4)
    monkeypatch.setattr("os.fsync", lambda _: None)  # hundreds of packages that nobody keeps
    found = [prepared(case, tmp_path / f"m{at}") for at, case in enumerate(every_case()[part::PARTS])]
    usable = [each for each in found if isinstance(each, Prepared)]
    serving = served(*(each.package for each in usable))

    async def ask_all(client: httpx.AsyncClient) -> list[str]:
        return [
            f"{each.name} {form}: {problem}"
            for each in usable
            for form in ("json", "binary")
            if (problem := await asked(client, each, form)) is not None
        ]

    assert over(serving, ask_all) == []
    assert len(usable) > 250, Counter(each for each in found if isinstance(each, str))


def prepared(case: Case, folder: Path) -> "Prepared | str":
    """The case, or why it is none of the protocol's."""
    name, model, values = case
    try:
        session = session_of(model.SerializeToString())
    except Exception:  # noqa: BLE001 - an operator that ONNX Runtime does not have
        return "not in ONNX Runtime"
    args = [*session.get_inputs(), *session.get_outputs()]
    if not session.get_inputs() or any(not arg.name or arg.type not in BY_ORT or 0 in arg.shape for arg in args):
        return "not in the protocol"
    inputs = {arg.name: np.asarray(value) for arg, value in zip(session.get_inputs(), values, strict=False)}
    names = [arg.name for arg in session.get_outputs()]
    try:
        # What ONNX Runtime itself gives: this test is of the way there and back, not of its operators.
        expected = dict(zip(names, session.run(names, inputs), strict=True))
    except Exception:  # noqa: BLE001 - not all that loads runs
        return "not in ONNX Runtime"
    if any(value is None for value in expected.values()) or is_random(model):
        return "no stable answer"
    package = make_package(folder, model, name=folder.name, inputs=inputs, batched=False)
    return Prepared(name, package.root, inputs, expected)


async def asked(client: httpx.AsyncClient, case: Prepared, form: str) -> str | None:
    """What is wrong with the answer; None where nothing is."""
    infinite = any(value.dtype.kind == "f" and np.isinf(value).any() for value in case.expected.values())
    body, headers = request(case.inputs, as_binary=form == "binary")
    response = await client.post(f"/v2/models/{case.package.name}/infer", content=body, headers=headers)
    if form == "json" and infinite:
        return None if response.json().get("error_code") == "E-NON-FINITE" else "infinity went out as JSON"
    if response.status_code != 200:
        return response.text[:200]
    for name, dtype, shape, values in answers(response):
        want = case.expected[name]
        if shape != list(want.shape) or not same(want, values, dtype):
            return f"{name} differs"
    return None


def request(inputs: dict[str, np.ndarray], *, as_binary: bool) -> tuple[bytes, dict[str, str]]:
    entries, behind = [], b""
    for name, value in inputs.items():
        dtype = next(key for key, facts in DTYPES.items() if np.dtype(facts.numpy) == value.dtype)
        entry: dict[str, Any] = {"name": name, "shape": list(value.shape), "datatype": dtype}
        if as_binary:
            raw = binary.encode(value)
            entry["parameters"] = {"binary_data_size": len(raw)}
            behind += raw
        else:
            flat = value.ravel()
            entry["data"] = (flat.astype(np.float64) if dtype == "FP16" else flat).tolist()
        entries.append(entry)
    text = json.dumps({"inputs": entries, "parameters": {"binary_data_output": as_binary}}).encode()
    return text + behind, {"inference-header-content-length": str(len(text))} if as_binary else {}


def answers(response: httpx.Response) -> Iterator[tuple[str, str, list[int], np.ndarray]]:
    length = response.headers.get("inference-header-content-length")
    text, behind = (response.content, b"") if length is None else split(response.content, int(length))
    for output in json.loads(text)["outputs"]:
        kind = DTYPES[output["datatype"]].numpy
        if "data" in output:
            given = output["data"]
            values = np.array([math.nan if item is None else item for item in given], dtype=kind)
        else:
            raw, behind = split(behind, output["parameters"]["binary_data_size"])
            values = texts(raw) if kind == "O" else np.frombuffer(raw, kind)
        yield output["name"], output["datatype"], output["shape"], values
    assert behind == b""


def split(data: bytes, at: int) -> tuple[bytes, bytes]:
    return data[:at], data[at:]


def texts(raw: bytes) -> np.ndarray:
    found, at = [], 0
    while at < len(raw):
        size = int.from_bytes(raw[at : at + 4], "little")
        found.append(raw[at + 4 : at + 4 + size].decode())
        at += 4 + size
    return np.array(found, dtype=object)


def same(want: np.ndarray, values: np.ndarray, dtype: str) -> bool:
    if dtype == "BYTES":
        return [str(item) for item in want.ravel()] == list(values)
    if dtype.startswith("FP"):
        # Sums are added up in another order at another address.
        steps = 16 * np.finfo(want.dtype).eps
        return bool(np.allclose(want.ravel(), values, rtol=steps, atol=steps, equal_nan=True))
    return bool(np.array_equal(want.ravel(), values))


def tensor(path: Path) -> np.ndarray:
    value = numpy_helper.to_array(onnx.load_tensor(path))
    if value.dtype.kind in "SUO":
        return np.array(
            [item.decode() if isinstance(item, bytes) else str(item) for item in value.ravel()], object
        ).reshape(value.shape)
    return value


def is_random(model: onnx.ModelProto) -> bool:
    kinds = {node.op_type for node in model.graph.node}
    return bool(kinds & {"Bernoulli", "Dropout", "Multinomial", "RandomNormal", "RandomUniform", "RandomNormalLike"})
