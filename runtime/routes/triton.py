"""Triton's extensions of the Open Inference Protocol: configuration, statistics, and the index of models.

Source: Triton Inference Server, protocol extensions "Model Configuration", "Statistics" and "Model Repository".
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from runtime.codec.json_body import parse_json
from runtime.contract.circuit import PLATFORM
from runtime.contract.dtypes import Datatype
from runtime.contract.manifest import TensorSpec
from runtime.engine.repository import Slot
from runtime.engine.statistics import Statistics, Sum
from runtime.errors import ControlRefused, InvalidInput
from runtime.routes.answers import Json, read_body
from runtime.routes.counts import Counts
from runtime.routes.oip import platform_of
from runtime.routes.serving import Change, Serving

if TYPE_CHECKING:  # importing it loads ONNX Runtime
    from runtime.engine.session import OnnxModel

_LARGEST_BODY: Final = 1 << 16
_NAMES: Final[Mapping[Datatype, str]] = {"BYTES": "STRING"}
_STATES: Final = {"ready": "READY", "starting": "LOADING", "failed": "UNAVAILABLE", "unloaded": "UNAVAILABLE"}


def triton_routes(serving: Serving) -> APIRouter:
    """``…/config``, ``…/stats`` and ``/v2/repository/index``."""
    router = APIRouter(prefix="/v2", tags=["Triton"])

    @router.get("/models/stats", summary="What every model has done since it was loaded")
    async def all_stats() -> Response:
        counts = await serving.counts()
        return Json({"model_stats": _stats(serving.repository.slots, counts)})

    @router.get("/models/{model}/stats", summary="What a model has done since it was loaded")
    async def model_stats(model: str) -> Response:
        serving.repository.find(model)
        counts = await serving.counts()
        return Json({"model_stats": _stats(serving.repository.named(model), counts)})

    @router.get("/models/{model}/versions/{version}/stats", summary="What a model's version has done")
    async def version_stats(model: str, version: str) -> Response:
        serving.repository.find(model, version)
        counts = await serving.counts()
        return Json({"model_stats": _stats(serving.repository.named(model, version), counts)})

    @router.get("/models/{model}/config", summary="A model's configuration as Triton has it")
    async def model_config(model: str) -> Response:
        return Json(_config(serving.repository.find(model)))

    @router.get("/models/{model}/versions/{version}/config", summary="A model version's configuration")
    async def version_config(model: str, version: str) -> Response:
        return Json(_config(serving.repository.find(model, version)))

    @router.post("/repository/index", summary="Every model, and whether it is ready")
    async def index(request: Request) -> Response:
        only_ready = _only_ready(bytes(await read_body(request, limit_bytes=_LARGEST_BODY)))
        slots = [slot for slot in serving.repository.slots if slot.manifest is not None]
        return Json([_entry(slot) for slot in slots if slot.state == "ready" or not only_ready])

    @router.post("/repository/models/{model}/load", summary="Load a model's package anew from its folder")
    async def load(model: str) -> Response:
        return await _change(serving, "load", model)

    @router.post("/repository/models/{model}/unload", summary="Take a model out of service")
    async def unload(model: str) -> Response:
        return await _change(serving, "unload", model)

    return router


async def _change(serving: Serving, verb: Change, model: str) -> Response:
    if not serving.settings.model_control:
        raise ControlRefused(
            "models are not loaded or unloaded over HTTP here", hint="set DRAY_MODEL_CONTROL=1 to allow it"
        )
    await serving.change(verb, model)
    return Json({})


def _only_ready(body: bytes) -> bool:
    document = parse_json(body) if body.strip() else {}
    if not isinstance(document, dict):
        raise InvalidInput('the body must be a JSON object, as {"ready": true}, or empty')
    return document.get("ready") is True


def _entry(slot: Slot) -> dict[str, str]:
    entry = {
        "name": "",
        "version": "",
        "state": _STATES[slot.state],
        "reason": slot.error.message if slot.error else "",
    }
    if (manifest := slot.manifest) is not None:
        entry |= {"name": manifest.name, "version": manifest.version}
    return entry


def _config(model: "OnnxModel") -> dict[str, Any]:
    manifest = model.manifest
    batched = manifest.signature.batch_dim is not None
    return {
        "name": manifest.name,
        "platform": platform_of(manifest),
        "backend": "onnxruntime" if manifest.circuit is None else PLATFORM,
        "version_policy": {"latest": {"num_versions": 1}},
        # Triton leaves the batch out of the shapes of a model that has one; 0 says that the shapes are whole.
        "max_batch_size": 0,
        "input": [_tensor(spec) for spec in manifest.signature.inputs],
        "output": [_tensor(spec) for spec in manifest.signature.outputs],
        "parameters": {
            "digest": {"string_value": model.package.digest},
            "version": {"string_value": manifest.version},
            "batched": {"string_value": str(batched).lower()},
        },
    }


def _tensor(spec: TensorSpec) -> dict[str, Any]:
    dims = [dim if isinstance(dim, int) else -1 for dim in spec.shape]
    named = _NAMES.get(spec.dtype, spec.dtype)
    return {"name": spec.name, "data_type": f"TYPE_{named}", "dims": dims}


def _stats(slots: Sequence[Slot], counts: Counts) -> list[dict[str, Any]]:
    return [_model_stats(slot.model, counts.of(slot.serial)) for slot in slots if slot.model is not None]


def _model_stats(model: "OnnxModel", found: Statistics) -> dict[str, Any]:
    none = _sum(Sum())
    return {
        "name": model.manifest.name,
        "version": model.manifest.version,
        "last_inference": found.last_ms,
        "inference_count": found.rows,
        "execution_count": found.succeeded.count,
        "inference_stats": {
            "success": _sum(found.succeeded),
            "fail": _sum(found.failed),
            "queue": none,
            "compute_input": none,
            "compute_infer": _sum(found.succeeded),
            "compute_output": none,
            "cache_hit": none,
            "cache_miss": none,
        },
        "batch_stats": [
            {"batch_size": size, "compute_input": none, "compute_infer": _sum(each), "compute_output": none}
            for size, each in sorted(found.by_batch.items())
        ],
    }


def _sum(found: Sum) -> dict[str, int]:
    return {"count": found.count, "ns": found.ns}
