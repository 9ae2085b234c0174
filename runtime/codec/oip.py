"""The Open Inference Protocol v2: request bodies → tensors, tensors → response bodies, in JSON and binary."""

import contextlib
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import orjson

from runtime.codec import binary
from runtime.codec.binary import BinaryPart, Body
from runtime.codec.json_body import parse_json
from runtime.codec.large_json import LARGE, NotNumbers, Numbers, parse_large
from runtime.codec.values import Array, check_shape, json_values, tensor_from_json, wrong_input
from runtime.contract.cells import show
from runtime.contract.dtypes import DTYPES, Datatype, holds_all_of
from runtime.contract.manifest import Signature, TensorSpec
from runtime.errors import InvalidInput

_NONE: Final[frozenset[str]] = frozenset()
_WHOLE: Final = frozenset({int})


# Named tuples, for their making is a good part of what a small request costs.
class DecodedRequest(NamedTuple):
    """A request that fits the model.

    Attributes:
        outputs: Names in the order asked for; every output of the model when the client named none.
        binary: Those of them that are asked for in the binary form.
    """

    id: str | None
    inputs: Mapping[str, Array]
    outputs: tuple[str, ...]
    binary: frozenset[str] = _NONE


class EncodedResponse(NamedTuple):
    """The body of an answer.

    Attributes:
        header_length: Bytes of its JSON where binary tensors follow it; None where all of it is JSON.
    """

    body: bytes
    header_length: int | None = None


def decode_request(body: Body, signature: Signature, *, header_length: str | None = None) -> DecodedRequest:
    """The tensors of an inference request, checked against ``signature``.

    Args:
        header_length: The header field Inference-Header-Content-Length, where the request has it.

    Raises:
        InvalidInput: Names the tensor, what was expected and what came.
    """
    text, behind = binary.split(body, header_length)
    if header_length is None and len(text) >= LARGE:
        with contextlib.suppress(NotNumbers, InvalidInput):  # the usual way finds the same error, and says it in full
            return _decoded(parse_large(text), signature, behind)
    return _decoded(parse_json(text), signature, behind)


def _decoded(document: Any, signature: Signature, behind: BinaryPart) -> DecodedRequest:
    if not isinstance(document, dict):
        raise InvalidInput(f"the body must be a JSON object, got {show(document)}")
    request_id = document.get("id")
    if request_id is not None and not isinstance(request_id, str):
        raise InvalidInput(f"'id' must be a string, got {show(request_id)}")
    tensors = _named(document.get("inputs"), "inputs")
    specs = signature.input_specs
    _check_names(tensors, specs)
    bound: dict[str, int] = {}
    # Binary tensors lie behind the JSON in the order of the request, not of the signature.
    taken = {name: _decode(specs[name], tensor, bound, behind) for name, tensor in tensors.items()}
    behind.check_taken()
    outputs, as_binary = _wanted(document, signature)
    inputs = taken if len(specs) == 1 else {name: taken[name] for name in specs}
    return DecodedRequest(request_id, inputs, outputs, as_binary)


def encode_response(
    outputs: Mapping[str, Array],
    signature: Signature,
    *,
    model: str,
    version: str,
    request_id: str | None,
    as_binary: frozenset[str] = _NONE,
) -> EncodedResponse:
    """The body of an answer with ``outputs`` in their order.

    Args:
        as_binary: Outputs that travel behind the JSON.

    Raises:
        NonFiniteOutput: An output that travels as JSON holds infinity.
    """
    specs = signature.output_specs
    answer: dict[str, Any] = {"model_name": model, "model_version": version}
    if request_id is not None:
        answer["id"] = request_id
    raw = {name: binary.encode(outputs[name]) for name in outputs if name in as_binary} if as_binary else {}
    answer["outputs"] = [
        {
            "name": name,
            "datatype": specs[name].dtype,
            "shape": list(array.shape),
            **({"parameters": {binary.SIZE: len(raw[name])}} if name in raw else {"data": json_values(name, array)}),
        }
        for name, array in outputs.items()
    ]
    text = orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)
    return EncodedResponse(b"".join([text, *raw.values()]), len(text)) if raw else EncodedResponse(text)


def _named(entries: object, key: str) -> dict[str, Mapping[str, Any]]:
    """The objects of a list by their ``name``."""
    if not isinstance(entries, list):
        raise InvalidInput(f"{key!r} must be an array of tensors, got {show(entries)}")
    named: dict[str, Mapping[str, Any]] = {}
    for index, entry in enumerate(entries):
        name = entry.get("name") if isinstance(entry, dict) else None
        if not isinstance(entry, dict) or not isinstance(name, str):
            raise InvalidInput(f"{key}[{index}] must be an object with a string 'name', got {show(entry)}")
        if name in named:
            raise InvalidInput(f"{key} names {name!r} twice", detail={"tensor": name})
        named[name] = entry
    return named


def _check_names(tensors: Mapping[str, object], specs: Mapping[str, TensorSpec]) -> None:
    if tensors.keys() == specs.keys():
        return
    unknown = [name for name in tensors if name not in specs]
    absent = [name for name in specs if name not in tensors]
    expected = ", ".join(repr(name) for name in specs)
    what = "unknown input " + show(unknown[0]) if unknown else f"input {absent[0]!r} is missing"
    raise InvalidInput(
        f"{what}; the model takes {expected}",
        detail={"tensor": (unknown or absent)[0], "expected": list(specs), "actual": list(tensors)},
    )


def _decode(spec: TensorSpec, tensor: Mapping[str, Any], bound: dict[str, int], behind: BinaryPart) -> Array:
    given = spec.dtype
    if tensor.get("datatype") != given:
        given = _narrower(spec, tensor)
    shape = tensor.get("shape")
    if not isinstance(shape, list) or not set(map(type, shape)) <= _WHOLE or (shape and min(shape) < 0):
        raise wrong_input(spec, "a shape of whole numbers of at least 0", show(shape))
    check_shape(spec, shape, bound)
    said = spec if given is spec.dtype else spec.model_copy(update={"dtype": given})
    data = tensor.get("data")
    parameters = tensor.get("parameters")
    if data is None and isinstance(parameters, dict) and binary.SIZE in parameters:
        values = behind.take(said, shape, parameters[binary.SIZE])
    elif isinstance(data, Numbers):
        values = data.tensor(spec if DTYPES[given].is_float else said, shape)
    elif not isinstance(data, list):
        raise wrong_input(spec, f"an array under 'data', or {binary.SIZE!r} among its parameters", show(data))
    else:
        # JSON has one kind of number: what was written is taken, and not first rounded to a narrower type.
        values = tensor_from_json(spec if DTYPES[given].is_float else said, shape, data)
    return values if said is spec else values.astype(DTYPES[spec.dtype].numpy, copy=False)


def _narrower(spec: TensorSpec, tensor: Mapping[str, Any]) -> Datatype:
    """The client's own datatype, where the model's holds all of its values."""
    given = next((name for name in DTYPES if name == tensor.get("datatype")), None)
    if given is None or not holds_all_of(spec.dtype, given):
        raise wrong_input(spec, f"the datatype {spec.dtype!r}", show(tensor.get("datatype")))
    return given


def _wanted(document: Mapping[str, Any], signature: Signature) -> tuple[tuple[str, ...], frozenset[str]]:
    """The outputs that the client asks for, and those of them that it wants in the binary form."""
    known = signature.output_names
    parameters = document.get("parameters")
    by_default = isinstance(parameters, dict) and parameters.get("binary_data_output") is True
    entries = document.get("outputs")
    if not entries:
        return known, frozenset(known) if by_default else _NONE
    named = _named(entries, "outputs")
    for name, entry in named.items():
        if name not in known:
            raise InvalidInput(
                f"unknown output {show(name)}; the model gives {', '.join(repr(item) for item in known)}",
                detail={"tensor": name, "expected": list(known)},
            )
        own = entry.get("parameters")
        if isinstance(own, dict) and "classification" in own:
            raise InvalidInput(
                f"output {name!r} is asked for as a classification, an extension that this server does not have",
                hint="ask for the output itself; a classifier's classes are in the model's metadata",
            )
    as_binary = frozenset(name for name, entry in named.items() if binary.wants_binary(entry, by_default=by_default))
    return tuple(named), as_binary
