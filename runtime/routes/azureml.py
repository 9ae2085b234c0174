"""Azure Machine Learning's inference server: ``/score`` and ``/swagger.json``."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from runtime.errors import InvalidInput
from runtime.routes.answers import Json
from runtime.routes.dialects import score
from runtime.routes.inference import answer
from runtime.routes.serving import Serving
from runtime.routes.swagger import VERSIONS, swagger


def azureml_routes(serving: Serving) -> APIRouter:
    """``/score`` and its description."""
    router = APIRouter(tags=["Azure Machine Learning"])

    @router.post("/score", summary="Ask the model with rows, records or a frame")
    async def ask(request: Request) -> Response:
        return await answer(serving, request, serving.repository.only, score)

    @router.get("/swagger.json", summary="The description of /score, in Swagger 2 or OpenAPI 3")
    async def description(version: str = "2") -> Response:
        if version not in VERSIONS:
            raise InvalidInput(
                f"there is no description in version {version[:20]!r}", hint=f"version is one of {', '.join(VERSIONS)}"
            )
        return Json(swagger(serving.repository.only().package, version))

    return router
