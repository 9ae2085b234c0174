"""The Open Inference Protocol v2 in JSON: request bodies → tensors, tensors → response bodies."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from runtime.codec.json_body import parse_json
from runtime.codec.values import Array, check_shape, json_values, tensor_from_json, wrong_input
from runtime.contract.cells import show
from runtime.contract.dtypes import DTYPES, holds_all_of
from runtime.contract.manifest import Signature, TensorSpec
from runtime.errors import EncodingRefused, InvalidInput


@dataclass(frozen=True, slots=True)
class DecodedRequest:
    """A request that fits the model.

    Attributes:
        outputs: Names in the order asked for; every output of the model when the client named none.
    """

    id: str | None
    inputs: Mapping[str, Array]
    outputs: tuple[str, ...]


def decode_request(body: bytes, signature: Signature) -> DecodedRequest:
    """The tensors of an inference request, checked against ``signature``.

    Raises:
        InvalidInput: Names the tensor, what was expected and what came.
        EncodingRefused: A tensor is in the binary form.
    """
    document = parse_json(body)
    if not isinstance(document, dict):
        raise InvalidInput(f"the body must be a JSON object, got {show(document)}")
    request_id = document.get("id")
    if request_id is not None and not isinstance(request_id, str):
        raise InvalidInput(f"'id' must be a string, got {show(request_id)}")
    tensors = _named(document.get("inputs"), "inputs")
    specs = {spec.name: spec for spec in signature.inputs}
    _check_names(tensors, specs)
    bound: dict[str, int] = {}
    inputs = {name: _decode(spec, tensors[name], bound) for name, spec in specs.items()}
    return DecodedRequest(request_id, inputs, _wanted(document.get("outputs"), signature))


def encode_response(
    outputs: Mapping[str, Array], signature: Signature, *, model: str, version: str, request_id: str | None
) -> bytes:
    """The body of an answer with ``outputs`` in their order.

    Raises:
        NonFiniteOutput: An output holds infinity.
    """
    specs = {spec.name: spec for spec in signature.outputs}
    answer: dict[str, Any] = {"model_name": model, "model_version": version}
    if request_id is not None:
        answer["id"] = request_id
    answer["outputs"] = [
        {
            "name": name,
            "datatype": specs[name].dtype,
            "shape": list(array.shape),
            "data": json_values(name, array),
        }
        for name, array in outputs.items()
    ]
    return orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)


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


def _decode(spec: TensorSpec, tensor: Mapping[str, Any], bound: dict[str, int]) -> Array:
    given = next((name for name in DTYPES if name == tensor.get("datatype")), None)
    if given is None or not holds_all_of(spec.dtype, given):
        raise wrong_input(spec, f"the datatype {spec.dtype!r}", show(tensor.get("datatype")))
    shape = tensor.get("shape")
    if not isinstance(shape, list) or not set(map(type, shape)) <= {int} or any(size < 0 for size in shape):
        raise wrong_input(spec, "a shape of whole numbers of at least 0", show(shape))
    check_shape(spec, shape, bound)
    data = tensor.get("data")
    parameters = tensor.get("parameters")
    if data is None and isinstance(parameters, dict) and "binary_data_size" in parameters:
        raise EncodingRefused(
            f"input {spec.name!r} is in the binary form, which this version does not read",
            hint="send its values as JSON under 'data' (tritonclient: set_data_from_numpy(..., binary_data=False))",
        )
    if not isinstance(data, list):
        raise wrong_input(spec, "an array under 'data'", show(data))
    if given == spec.dtype or DTYPES[given].is_float:
        # JSON has one kind of number: what was written is taken, and not first rounded to a narrower type.
        return tensor_from_json(spec, shape, data)
    return tensor_from_json(spec.model_copy(update={"dtype": given}), shape, data).astype(DTYPES[spec.dtype].numpy)


def _wanted(entries: object, signature: Signature) -> tuple[str, ...]:
    known = [spec.name for spec in signature.outputs]
    if entries is None or entries == []:
        return tuple(known)
    names = _named(entries, "outputs")
    for name in names:
        if name not in known:
            raise InvalidInput(
                f"unknown output {show(name)}; the model gives {', '.join(repr(item) for item in known)}",
                detail={"tensor": name, "expected": known},
            )
    return tuple(names)
