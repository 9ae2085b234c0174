"""Azure Machine Learning's inference server: ``/score`` and ``/swagger.json``."""

from typing import TYPE_CHECKING

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from runtime.codec.azureml import decode_score, encode_score
from runtime.errors import InvalidInput
from runtime.routes.answers import Json
from runtime.routes.inference import answer
from runtime.routes.serving import Serving
from runtime.routes.swagger import VERSIONS, swagger

if TYPE_CHECKING:  # importing it loads ONNX Runtime
    from runtime.engine.session import Cancellation


def azureml_routes(serving: Serving) -> APIRouter:
    """``/score`` and its description."""
    router = APIRouter(tags=["Azure Machine Learning"])

    @router.post("/score", summary="Ask the model with rows, records or a frame")
    async def score(request: Request) -> Response:
        model = serving.repository.only()

        def work(body: bytes, cancellation: "Cancellation") -> bytes:
            asked = decode_score(body, model.manifest.signature)
            return encode_score(model.run(asked.inputs, cancellation=cancellation), asked.wrap)

        return Json(await answer(serving, request, model.manifest.name, work))

    @router.get("/swagger.json", summary="The description of /score, in Swagger 2 or OpenAPI 3")
    async def description(version: str = "2") -> Response:
        if version not in VERSIONS:
            raise InvalidInput(
                f"there is no description in version {version[:20]!r}", hint=f"version is one of {', '.join(VERSIONS)}"
            )
        return Json(swagger(serving.repository.only().package, version))

    return router
