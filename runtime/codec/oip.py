"""The Open Inference Protocol v2: request bodies → tensors, tensors → response bodies, in JSON and binary."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson

from runtime.codec import binary
from runtime.codec.binary import BinaryPart
from runtime.codec.json_body import parse_json
from runtime.codec.values import Array, check_shape, json_values, tensor_from_json, wrong_input
from runtime.contract.cells import show
from runtime.contract.dtypes import DTYPES, holds_all_of
from runtime.contract.manifest import Signature, TensorSpec
from runtime.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class DecodedRequest:
    """A request that fits the model.

    Attributes:
        outputs: Names in the order asked for; every output of the model when the client named none.
        binary: Those of them that are asked for in the binary form.
    """

    id: str | None
    inputs: Mapping[str, Array]
    outputs: tuple[str, ...]
    binary: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class EncodedResponse:
    """The body of an answer.

    Attributes:
        header_length: Bytes of its JSON where binary tensors follow it; None where all of it is JSON.
    """

    body: bytes
    header_length: int | None = None


def decode_request(body: bytes, signature: Signature, *, header_length: str | None = None) -> DecodedRequest:
    """The tensors of an inference request, checked against ``signature``.

    Args:
        header_length: The header field Inference-Header-Content-Length, where the request has it.

    Raises:
        InvalidInput: Names the tensor, what was expected and what came.
    """
    text, behind = binary.split(body, header_length)
    document = parse_json(text)
    if not isinstance(document, dict):
        raise InvalidInput(f"the body must be a JSON object, got {show(document)}")
    request_id = document.get("id")
    if request_id is not None and not isinstance(request_id, str):
        raise InvalidInput(f"'id' must be a string, got {show(request_id)}")
    tensors = _named(document.get("inputs"), "inputs")
    specs = {spec.name: spec for spec in signature.inputs}
    _check_names(tensors, specs)
    bound: dict[str, int] = {}
    # Binary tensors lie behind the JSON in the order of the request, not of the signature.
    taken = {name: _decode(specs[name], tensor, bound, behind) for name, tensor in tensors.items()}
    behind.check_taken()
    wanted = _wanted(document, signature)
    return replace(wanted, id=request_id, inputs={name: taken[name] for name in specs})


def encode_response(
    outputs: Mapping[str, Array],
    signature: Signature,
    *,
    model: str,
    version: str,
    request_id: str | None,
    as_binary: frozenset[str] = frozenset(),
) -> EncodedResponse:
    """The body of an answer with ``outputs`` in their order.

    Args:
        as_binary: Outputs that travel behind the JSON.

    Raises:
        NonFiniteOutput: An output that travels as JSON holds infinity.
    """
    specs = {spec.name: spec for spec in signature.outputs}
    answer: dict[str, Any] = {"model_name": model, "model_version": version}
    if request_id is not None:
        answer["id"] = request_id
    raw = {name: binary.encode(array) for name, array in outputs.items() if name in as_binary}
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
    unknown = [name for name in tensors if name not in specs]
    absent = [name for name in specs if name not in tensors]
    if not unknown and not absent:
        return
    expected = ", ".join(repr(name) for name in specs)
    what = "unknown input " + show(unknown[0]) if unknown else f"input {absent[0]!r} is missing"
    raise InvalidInput(
        f"{what}; the model takes {expected}",
        detail={"tensor": (unknown or absent)[0], "expected": list(specs), "actual": list(tensors)},
    )


def _decode(spec: TensorSpec, tensor: Mapping[str, Any], bound: dict[str, int], behind: BinaryPart) -> Array:
    given = next((name for name in DTYPES if name == tensor.get("datatype")), None)
    if given is None or not holds_all_of(spec.dtype, given):
        raise wrong_input(spec, f"the datatype {spec.dtype!r}", show(tensor.get("datatype")))
    shape = tensor.get("shape")
    if not isinstance(shape, list) or not set(map(type, shape)) <= {int} or any(size < 0 for size in shape):
        raise wrong_input(spec, "a shape of whole numbers of at least 0", show(shape))
    check_shape(spec, shape, bound)
    said = spec if given == spec.dtype else spec.model_copy(update={"dtype": given})
    data = tensor.get("data")
    parameters = tensor.get("parameters")
    if data is None and isinstance(parameters, dict) and binary.SIZE in parameters:
        values = behind.take(said, shape, parameters[binary.SIZE])
    elif not isinstance(data, list):
        raise wrong_input(spec, f"an array under 'data', or {binary.SIZE!r} among its parameters", show(data))
    else:
        # JSON has one kind of number: what was written is taken, and not first rounded to a narrower type.
        values = tensor_from_json(spec if DTYPES[given].is_float else said, shape, data)
    return values if said is spec else values.astype(DTYPES[spec.dtype].numpy, copy=False)


def _wanted(document: Mapping[str, Any], signature: Signature) -> DecodedRequest:
    """The outputs that the client asks for, and in which form."""
    known = [spec.name for spec in signature.outputs]
    parameters = document.get("parameters")
    by_default = isinstance(parameters, dict) and parameters.get("binary_data_output") is True
    entries = document.get("outputs")
    named = _named(entries, "outputs") if entries else {name: {} for name in known}
    for name, entry in named.items():
        if name not in known:
            raise InvalidInput(
                f"unknown output {show(name)}; the model gives {', '.join(repr(item) for item in known)}",
                detail={"tensor": name, "expected": known},
            )
        own = entry.get("parameters")
        if isinstance(own, dict) and "classification" in own:
            raise InvalidInput(
                f"output {name!r} is asked for as a classification, an extension that this server does not have",
                hint="ask for the output itself; a classifier's classes are in the model's metadata",
            )
    as_binary = frozenset(name for name, entry in named.items() if binary.wants_binary(entry, by_default=by_default))
    return DecodedRequest(None, {}, tuple(named), as_binary)
