"""The Open Inference Protocol v2: server and model metadata, readiness of a model, inference."""

from functools import cache
from importlib import metadata
from typing import TYPE_CHECKING, Any, Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from runtime.contract.circuit import PLATFORM
from runtime.contract.manifest import ModelManifest, TensorSpec
from runtime.contract.wire import ModelMetadata, ServerMetadata, TensorMetadata
from runtime.routes.answers import Json
from runtime.routes.dialects import open_inference
from runtime.routes.inference import answer
from runtime.routes.serving import Serving

if TYPE_CHECKING:  # importing it loads ONNX Runtime
    from runtime.engine.session import OnnxModel

# Source: Triton Inference Server, "Extensions".
_EXTENSIONS: Final = ("binary_tensor_data", "model_configuration", "model_repository", "statistics")


def oip_routes(serving: Serving) -> APIRouter:
    """Everything under ``/v2`` but its health probes."""
    router = APIRouter(prefix="/v2", tags=["Open Inference Protocol"])

    @router.get("", summary="Name, version and extensions of this server")
    async def server() -> Response:
        return Json(ServerMetadata(name="dray", version=dray_version(), extensions=list(_EXTENSIONS)).model_dump())

    @router.get("/models/{model}", summary="Inputs, outputs and origin of a model")
    async def model_metadata(model: str) -> Response:
        return _metadata(serving, model, None)

    @router.get("/models/{model}/versions/{version}", summary="Inputs, outputs and origin of a model's version")
    async def version_metadata(model: str, version: str) -> Response:
        return _metadata(serving, model, version)

    @router.get("/models/{model}/ready", summary="Whether a model answers")
    async def model_ready(model: str) -> Response:
        return _ready(serving, model, None)

    @router.get("/models/{model}/versions/{version}/ready", summary="Whether a model's version answers")
    async def version_ready(model: str, version: str) -> Response:
        return _ready(serving, model, version)

    @router.post("/models/{model}/infer", summary="Ask a model")
    async def infer(request: Request, model: str) -> Response:
        return await _infer(serving, request, model, None)

    @router.post("/models/{model}/versions/{version}/infer", summary="Ask a model's version")
    async def infer_version(request: Request, model: str, version: str) -> Response:
        return await _infer(serving, request, model, version)

    return router


def describe_model(serving: Serving, model: "OnnxModel") -> ModelMetadata:
    """Metadata of a loaded model; free axes are -1."""
    import onnxruntime

    manifest = model.manifest
    versions = [slot.manifest.version for slot in serving.repository.named(manifest.name) if slot.manifest]
    columns = {spec.name: list(spec.columns) for spec in manifest.signature.inputs if spec.columns is not None}
    step = manifest.preprocessing
    placement = {} if model.placement is None else {"acceleration": model.placement.report()}
    tokenizer = {} if step is None else {"tokenizer": {"max_length": step.max_length}}
    return ModelMetadata(
        name=manifest.name,
        versions=versions,
        platform=platform_of(manifest),
        inputs=[_tensor_metadata(spec) for spec in manifest.signature.inputs],
        outputs=[_tensor_metadata(spec) for spec in manifest.signature.outputs],
        parameters={
            "digest": model.package.digest,
            "version": manifest.version,
            "labels": {name: list(labels) for name, labels in (manifest.labels or {}).items()},
            "columns": columns,
            **tokenizer,
            **_circuit(manifest),
            "providers": list(model.providers),
            **placement,
            "runtime": {"dray": dray_version(), "onnxruntime": onnxruntime.__version__},
        },
    )


def platform_of(manifest: ModelManifest) -> str:
    """What computes, in the protocol's words; a circuit is never more than simulated here."""
    return PLATFORM if manifest.circuit is not None else "onnxruntime_onnx"


def _circuit(manifest: ModelManifest) -> dict[str, Any]:
    if (circuit := manifest.circuit) is None:
        return {}
    told = circuit.model_dump(include={"name", "bits", "latency_cycles", "initiation_interval"})
    return {"circuit": {**told, "simulated": True}}


@cache
def dray_version() -> str:
    """The installed version; ``unknown`` where dray runs from bare files."""
    try:
        return metadata.version("dray")
    except metadata.PackageNotFoundError:
        return "unknown"


def _metadata(serving: Serving, name: str, version: str | None) -> Response:
    answer = describe_model(serving, serving.repository.find(name, version))
    return Json(answer.model_dump(exclude_none=True))


def _ready(serving: Serving, name: str, version: str | None) -> Response:
    serving.repository.find(name, version)
    error = serving.not_ready() if serving.draining else None
    if error is not None:
        raise error
    return Json({"name": name, "ready": True})


async def _infer(serving: Serving, request: Request, name: str, version: str | None) -> Response:
    return await answer(serving, request, lambda: serving.repository.find(name, version), open_inference)


def _tensor_metadata(spec: TensorSpec) -> TensorMetadata:
    shape = [dim if isinstance(dim, int) else -1 for dim in spec.shape]
    return TensorMetadata(name=spec.name, datatype=spec.dtype, shape=shape)
