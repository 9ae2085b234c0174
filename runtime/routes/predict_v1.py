"""KServe's v1 protocol and TensorFlow Serving's REST API: ``/v1/models``, status, metadata and ``:predict``."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from runtime.codec.predict_v1 import SIGNATURE
from runtime.contract.dtypes import Datatype
from runtime.contract.manifest import TensorSpec
from runtime.engine.repository import Slot
from runtime.routes.answers import Json
from runtime.routes.dialects import predict_v1
from runtime.routes.inference import answer
from runtime.routes.serving import Serving

if TYPE_CHECKING:  # importing it loads ONNX Runtime
    from runtime.engine.session import OnnxModel

# Source: TensorFlow, types.proto.
_DT: Final[Mapping[Datatype, str]] = {"FP16": "DT_HALF", "FP32": "DT_FLOAT", "FP64": "DT_DOUBLE", "BYTES": "DT_STRING"}


def predict_v1_routes(serving: Serving) -> APIRouter:
    """Everything under ``/v1``."""
    router = APIRouter(prefix="/v1", tags=["KServe v1, TensorFlow Serving"])

    @router.get("/models", summary="Names of the models")
    async def models() -> Response:
        names = [slot.manifest.name for slot in serving.repository.slots if slot.manifest is not None]
        return Json({"models": list(dict.fromkeys(names))})

    def get(path: str, route: Callable[[str, str | None], Response], summary: str) -> None:
        async def newest(model: str) -> Response:
            return route(model, None)

        async def exact(model: str, version: str) -> Response:
            return route(model, version)

        router.add_api_route(f"/models/{{model}}{path}", newest, methods=["GET"], summary=summary)
        router.add_api_route(
            f"/models/{{model}}/versions/{{version}}{path}", exact, methods=["GET"], summary=f"{summary}, of a version"
        )

    get("", lambda model, version: _status(serving, model, version), "Whether a model answers")
    get("/metadata", lambda model, version: _metadata(serving.repository.find(model, version)), "A model's signature")

    @router.post("/models/{model}:predict", summary="Ask a model, row by row or input by input")
    async def predict(request: Request, model: str) -> Response:
        return await _predict(serving, request, model, None)

    @router.post("/models/{model}/versions/{version}:predict", summary="Ask a model's version")
    async def predict_version(request: Request, model: str, version: str) -> Response:
        return await _predict(serving, request, model, version)

    return router


async def _predict(serving: Serving, request: Request, name: str, version: str | None) -> Response:
    return await answer(serving, request, lambda: serving.repository.find(name, version), predict_v1)


def _status(serving: Serving, name: str, version: str | None) -> Response:
    """TensorFlow Serving's states of every version, and KServe's two fields."""
    slots = serving.repository.named(name, version)
    if not slots:
        serving.repository.find(name, version)  # says why there is none
    ready = serving.not_ready() is None or (not serving.draining and any(slot.state == "ready" for slot in slots))
    return Json({"name": name, "ready": ready, "model_version_status": [_version_status(slot) for slot in slots]})


def _version_status(slot: Slot) -> dict[str, Any]:
    state = {"ready": "AVAILABLE", "starting": "LOADING", "failed": "END", "unloaded": "UNLOADING"}[slot.state]
    code, message = ("OK", "") if slot.error is None else ("FAILED_PRECONDITION", slot.error.message)
    version = slot.manifest.version if slot.manifest is not None else ""
    return {"version": version, "state": state, "status": {"error_code": code, "error_message": message}}


def _metadata(model: "OnnxModel") -> Response:
    manifest = model.manifest
    definition = {
        "inputs": {spec.name: _tensor_info(spec) for spec in manifest.signature.inputs},
        "outputs": {spec.name: _tensor_info(spec) for spec in manifest.signature.outputs},
        "method_name": "tensorflow/serving/predict",
    }
    return Json(
        {
            "model_spec": {"name": manifest.name, "signature_name": "", "version": manifest.version},
            "metadata": {"signature_def": {"signature_def": {SIGNATURE: definition}}},
        }
    )


def _tensor_info(spec: TensorSpec) -> dict[str, Any]:
    dims = [{"size": str(dim) if isinstance(dim, int) else "-1", "name": ""} for dim in spec.shape]
    shape = {"dim": dims, "unknown_rank": False}
    return {"dtype": _DT.get(spec.dtype, f"DT_{spec.dtype}"), "tensor_shape": shape, "name": f"{spec.name}:0"}
