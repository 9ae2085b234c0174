"""CNTK's recorded answers, and files written by hand as CNTK's format has them."""

import io
import struct
import zipfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FIXTURES = Path(__file__).parent.parent / "fixtures" / "cntk"
Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Recorded:
    """One case of ``record_cntk_answers.py``.

    Attributes:
        inputs: By CNTK's uid, a batch; sequences padded with zeros.
        lengths: Of the sequences; None where there are none.
        outputs: In order.
    """

    model: bytes
    inputs: Arrays
    lengths: NDArray[np.int64] | None
    outputs: list[NDArray[Any]]

    def row(self, number: int, uid: str, *, sequence: bool) -> NDArray[Any]:
        """One row of an input, without its padding."""
        values = self.inputs[uid][number : number + 1]
        return values[:, : self.lengths[number]] if sequence and self.lengths is not None else values


def case_names() -> list[str]:
    """FAMILY/NAME of all recorded cases."""
    found = []
    for path in sorted(FIXTURES.glob("*.zip")):
        with zipfile.ZipFile(path) as archive:
            found += [f"{path.stem}/{name[:-6]}" for name in archive.namelist() if name.endswith(".model")]
    return found


def recorded(case: str) -> Recorded:
    """One recorded case."""
    family, _, name = case.partition("/")
    files = _files(family)
    model = files[f"{name}.model"]
    kept = dict(np.load(io.BytesIO(files[f"{name}.npz"]), allow_pickle=False))
    outputs = [kept[f"out:{index}"] for index in range(sum(key.startswith("out:") for key in kept))]
    inputs = {key[3:]: value for key, value in kept.items() if key.startswith("in:")}
    return Recorded(model, inputs, kept.get("lengths"), outputs)


@cache
def _files(family: str) -> dict[str, bytes]:
    with zipfile.ZipFile(FIXTURES / f"{family}.zip") as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write_case(case: str, folder: Path) -> Path:
    """The model of a recorded case as a file."""
    path = folder / "model.model"
    path.write_bytes(recorded(case).model)
    return path


@dataclass(frozen=True)
class Shape:
    dims: tuple[int, ...]


@dataclass(frozen=True)
class Size:
    number: int


@dataclass(frozen=True)
class Axis:
    index: int = 0
    name: str = "staticAxisIdx=0"


@dataclass(frozen=True)
class Raw:
    """A value as its bytes: its type and its field."""

    kind: int
    field: bytes


def varint(value: int) -> bytes:
    value &= 0xFFFF_FFFF_FFFF_FFFF
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def dictionary(entries: dict[str, Any]) -> bytes:
    """A Dictionary message."""
    parts = [field(2, field(1, key.encode()) + field(2, value(held))) for key, held in entries.items()]
    return b"\x08\x02" + b"".join(parts)


def value(held: Any) -> bytes:
    """A DictionaryValue message."""
    kind, content = _encoded(held)
    return b"\x08\x02\x10" + varint(kind) + content


def _encoded(held: Any) -> tuple[int, bytes]:
    match held:
        case Raw(kind, content):
            return kind, content
        case bool():
            return 1, b"\x18" + varint(held)
        case int():
            return 2, b"\x20" + varint(held)
        case Size(number):
            return 3, b"\x28" + varint(number)
        case float():
            return 5, b"\x39" + struct.pack("<d", held)
        case str():
            return 6, field(8, held.encode())
        case Shape():
            return 7, field(9, _shape(held))
        case Axis(index, name):
            return 8, field(10, b"\x08" + varint(index) + field(2, name.encode()))
        case list():
            return 9, field(11, b"".join(field(1, value(item)) for item in held))
        case dict():
            return 10, field(12, dictionary(held))
        case np.ndarray():
            values = field(4, field(1, held.astype("<f4").tobytes()))
            return 11, field(13, b"\x08\x01" + field(3, _shape(Shape(held.shape[::-1]))) + values)
    raise TypeError(held)


def _shape(shape: Shape) -> bytes:
    return field(1, b"".join(varint(size) for size in shape.dims))


BATCH = Axis(2**31 - 1, "defaultBatchAxis")


def variable(uid: str, shape: tuple[int, ...] = (3,), *, kind: int = 0, **more: Any) -> dict[str, Any]:
    """A variable; an input with a batch axis unless ``kind`` says otherwise."""
    return {
        "version": Size(1), "type": "Variable", "uid": uid, "name": uid.lower(), "kind": Size(kind),
        "data_type": Size(1), "is_sparse": False, "dynamic_axis": [BATCH] if kind == 0 else [],
        "shape": Shape(shape[::-1]), **more,
    }  # fmt: skip


def function(uid: str, op: int, inputs: list[str], **attributes: Any) -> dict[str, Any]:
    """A primitive function."""
    return {
        "version": Size(24), "type": "PrimitiveFunction", "uid": uid, "op": Size(op), "inputs": inputs,
        "attributes": attributes,
    }  # fmt: skip


def composite(variables: list[Any], functions: list[Any], root: str, **more: Any) -> bytes:
    """A whole model."""
    return dictionary({
        "version": Size(3), "type": "CompositeFunction", "uid": "Composite1", "root": root, "inputs": variables,
        "primitive_functions": functions, **more,
    })  # fmt: skip
