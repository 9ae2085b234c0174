"""MXNet models for the tests: recorded ones with MXNet's answers, and ones written by hand."""

import io
import json
import struct
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from packager.converters.mxnet.attributes import signatures
from packager.converters.mxnet.conversion import convert_mxnet
from packager.converters.mxnet.refused import PREFIXES, REFUSED, UNVERIFIED
from packager.converters.mxnet.registry import operators
from packager.core.conversion import ConversionRequest, InputHint, RawConversion
from packager.core.progress import SilentProgress
from tests.support.sessions import session_of

FIXTURES = Path(__file__).parent.parent / "fixtures" / "mxnet"
ARCHIVE = FIXTURES / "operators.tar.xz"
_TYPES = {"float32": 0, "float64": 1, "float16": 2, "uint8": 3, "int32": 4, "int8": 5, "int64": 6, "bool": 7}
_V1, _V2, _V3 = 0xF993FAC8, 0xF993FAC9, 0xF993FACA


@dataclass(frozen=True)
class Case:
    """A recorded model: its files, what it was asked, and what MXNet answered."""

    name: str
    files: Mapping[str, bytes]

    @property
    def arrays(self) -> dict[str, Any]:
        with np.load(io.BytesIO(self.files["arrays.npz"])) as archive:
            return {name: archive[name] for name in archive.files}

    @property
    def inputs(self) -> dict[str, Any]:
        return {name[3:]: array for name, array in self.arrays.items() if name.startswith("in:")}

    @property
    def answers(self) -> list[Any]:
        arrays = self.arrays
        return [arrays[f"out:{index}"] for index in range(sum(name.startswith("out:") for name in arrays))]

    @property
    def outputs(self) -> list[str]:
        return list(json.loads(self.files["case.json"])["outputs"])

    @property
    def hints(self) -> tuple[InputHint, ...]:
        return tuple(map(hint, json.loads(self.files["case.json"])["input"]))

    @property
    def operators(self) -> set[str]:
        nodes = json.loads(self.files["model-symbol.json"])["nodes"]
        return {node["op"] for node in nodes} - {"null"}

    def write(self, folder: Path) -> Path:
        for name in ("model-symbol.json", "model-0000.params"):
            (folder / name).write_bytes(self.files[name])
        np.savez(folder / "samples.npz", **self.inputs)
        return folder / "model-symbol.json"


@cache
def recorded() -> dict[str, Case]:
    """All recorded cases by name."""
    files: dict[str, dict[str, bytes]] = {}
    with tarfile.open(ARCHIVE) as archive:
        for member in archive.getmembers():
            name, _, file = member.name.rpartition("/")
            stream = archive.extractfile(member)
            files.setdefault(name, {})[file] = stream.read() if stream else b""
    return {name: Case(name, content) for name, content in files.items()}


def hint(text: str) -> InputHint:
    """``data=FP32:N,3`` as the command line reads it."""
    name, _, rest = text.partition("=")
    dtype, _, dims = rest.partition(":")
    shape = tuple(int(dim) if dim.isdigit() else dim for dim in dims.split(","))
    return InputHint(name, dtype, shape)  # type: ignore[arg-type]


def converted(source: Path, folder: Path, samples: Path | None = None, **more: Any) -> RawConversion:
    """The conversion in this process."""
    folder.mkdir(exist_ok=True)
    return convert_mxnet(ConversionRequest(source=source, workdir=folder, samples=samples, **more), SilentProgress())


def opened(raw: RawConversion) -> ort.InferenceSession:
    return session_of(raw.onnx)


def asked(session: ort.InferenceSession, inputs: Mapping[str, Any]) -> list[Any]:
    """The answers, with inputs cast as the runtime does."""
    types = {"tensor(float)": np.float32, "tensor(int64)": np.int64, "tensor(int32)": np.int32}
    return list(session.run(None, {arg.name: inputs[arg.name].astype(types[arg.type]) for arg in session.get_inputs()}))


def node(op: str, name: str, inputs: Sequence[int] = (), **attributes: str) -> dict[str, Any]:
    return {"op": op, "name": name, "inputs": [[index, 0, 0] for index in inputs], "attrs": attributes}


def write_model(
    folder: Path, nodes: Sequence[dict[str, Any]], arrays: Mapping[str, Any], heads: Sequence[Sequence[int]] = ()
) -> Path:
    """A symbol whose last node is its head, and its parameters."""
    document = {"nodes": list(nodes), "heads": list(heads) or [[len(nodes) - 1, 0, 0]]}
    (folder / "model-symbol.json").write_text(json.dumps(document), encoding="utf-8")
    (folder / "model-0000.params").write_bytes(params_bytes(arrays))
    return folder / "model-symbol.json"


def params_bytes(arrays: Mapping[str, Any], *, version: int = 2) -> bytes:
    """A ``.params`` file of any version of the array format; 0 is the one without a magic number."""
    body = b"".join(_array_bytes(np.asarray(array), version) for array in arrays.values())
    names = b"".join(struct.pack("<Q", len(name.encode())) + name.encode() for name in arrays)
    return struct.pack("<QQQ", 0x112, 0, len(arrays)) + body + struct.pack("<Q", len(arrays)) + names


def _array_bytes(array: Any, version: int) -> bytes:
    if version == 0:
        head = struct.pack(f"<I{array.ndim}I", array.ndim, *array.shape)
    else:
        magic = {1: _V1, 2: _V2, 3: _V3}[version]
        storage = b"" if version == 1 else struct.pack("<i", 0)
        head = struct.pack("<I", magic) + storage + struct.pack(f"<i{array.ndim}q", array.ndim, *array.shape)
    return head + struct.pack("<iii", 1, 0, _TYPES[array.dtype.name]) + array.tobytes()


BEGIN, END = "<!-- operators: begin -->", "<!-- operators: end -->"


def page_with_table(text: str) -> str:
    """The page with its table as the registry and the recorded cases have it."""
    before, _, rest = text.partition(BEGIN)
    return before + BEGIN + "\n" + table() + END + rest.partition(END)[2]


def table() -> str:
    """A row for every operator: what was verified, or why it is refused."""
    lines = ["| operator | other names | verified against MXNet 1.9.1 |", "|---|---|---|"]
    for name in sorted(operators(), key=str.lower):
        others = ", ".join(f"`{alias}`" for alias in signatures_of(name))
        lines.append(f"| `{name}` | {others} | {', '.join(_variants(name))} |")
    lines += ["", "| refused | why |", "|---|---|"]
    lines += [f"| `{name}` | {why} |" for name, why in sorted(REFUSED.items(), key=lambda item: item[0].lower())]
    lines += [f"| `{start}…` | {why} |" for start, why in PREFIXES.items()]
    lines += [f"| every other operator | {UNVERIFIED} |", ""]
    return "\n".join(lines)


def signatures_of(name: str) -> list[str]:
    """Other names of an operator that people meet in files."""
    aliases = (alias for alias, signature in signatures().items() if signature.name == name and alias != name)
    return sorted(alias for alias in aliases if not alias.startswith("_sparse_"))


def _variants(name: str) -> list[str]:
    """The recorded variants of which this operator is the subject, or the models that it is part of."""
    own, others = [], []
    for case in recorded().values():
        subject, _, variant = case.name.partition(":")
        if {signatures()[op].name for op in case.operators} >= {name}:
            known = signatures().get(subject) or signatures().get(f"_{subject}")
            (own if known is not None and known.name == name else others).append(variant or "plain")
    return own or [f"as part of {len(others)} recorded models"]
