"""Data types as the Open Inference Protocol spells them, and what ONNX, ONNX Runtime and numpy call the same thing."""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

Datatype = Literal[
    "BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "FP32", "FP64", "BYTES"
]


@dataclass(frozen=True, slots=True)
class DtypeFacts:
    """One data type in every vocabulary that dray meets.

    Attributes:
        onnx: ``TensorProto.DataType`` number. Source: onnx.proto, message TensorProto.
        ort: The element type in ONNX Runtime's ``NodeArg.type``, as in ``tensor(float)``.
        numpy: Little-endian numpy dtype string; ``O`` for BYTES (an object array of ``str`` or ``bytes``).
        itemsize: Bytes an element in the binary form; 0 where the length varies (BYTES).
    """

    onnx: int
    ort: str
    numpy: str
    itemsize: int

    @property
    def is_float(self) -> bool:
        """True for the types that have NaN and infinity."""
        return self.numpy[1:2] == "f"


DTYPES: Final = MappingProxyType[Datatype, DtypeFacts](
    {
        "BOOL": DtypeFacts(9, "bool", "|b1", 1),
        "UINT8": DtypeFacts(2, "uint8", "|u1", 1),
        "UINT16": DtypeFacts(4, "uint16", "<u2", 2),
        "UINT32": DtypeFacts(12, "uint32", "<u4", 4),
        "UINT64": DtypeFacts(13, "uint64", "<u8", 8),
        "INT8": DtypeFacts(3, "int8", "|i1", 1),
        "INT16": DtypeFacts(5, "int16", "<i2", 2),
        "INT32": DtypeFacts(6, "int32", "<i4", 4),
        "INT64": DtypeFacts(7, "int64", "<i8", 8),
        "FP16": DtypeFacts(10, "float16", "<f2", 2),
        "FP32": DtypeFacts(1, "float", "<f4", 4),
        "FP64": DtypeFacts(11, "double", "<f8", 8),
        "BYTES": DtypeFacts(8, "string", "O", 0),
    }
)

BY_ONNX: Final = MappingProxyType[int, Datatype]({facts.onnx: name for name, facts in DTYPES.items()})
BY_ORT: Final = MappingProxyType[str, Datatype]({f"tensor({facts.ort})": name for name, facts in DTYPES.items()})

_MANTISSA_BITS: Final = MappingProxyType[Datatype, int]({"FP16": 11, "FP32": 24, "FP64": 53})


def holds_all_of(wide: Datatype, narrow: Datatype) -> bool:
    """Whether every value of one numeric type is a value of the other: FP64 holds all of FP32, and of INT32."""
    if wide == narrow:
        return True
    if {wide, narrow} & {"BOOL", "BYTES"}:
        return False
    to, of = DTYPES[wide].numpy, DTYPES[narrow].numpy
    bits, signed = 8 * DTYPES[narrow].itemsize, of[1] != "u"
    if to[1] == "f":
        return _MANTISSA_BITS[wide] >= (_MANTISSA_BITS[narrow] if of[1] == "f" else bits - signed)
    room = 8 * DTYPES[wide].itemsize - (to[1] == "i")
    return of[1] != "f" and room >= bits - signed and (to[1] == "i" or not signed)
