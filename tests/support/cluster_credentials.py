"""The one route of Azure's management API that gives out credentials of clusters, held to Microsoft's own swagger."""

import base64
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jsonschema
import yaml
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from targets.rehearsal.world import Faults
from tests.support.contracts import cluster_swagger
from tests.support.fake_runner import FakeRunner
from tests.support.stand_in_server import TOKEN, serving_stand_in

_ROUTE = (
    "/subscriptions/{subscriptionId}/resourceGroups/{resourceGroupName}/providers/Microsoft.ContainerService"
    "/managedClusters/{resourceName}/listClusterUserCredential"
)
# Of newer versions than the swagger's: the form of the kubeconfig that is wanted.
_NEWER = {"format"}


@dataclass
class ClusterCredentials:
    """A stand-in that runs.

    Attributes:
        answers: Status and body of each request in turn, the last one for all that follow.
        asked: Path parameters and query of each request.
        problems: Where a request or an answer of a kubeconfig is not as the swagger has it.
    """

    url: str = ""
    ca: Path = Path()
    answers: list[tuple[int, Any]] = field(default_factory=list)
    asked: list[Mapping[str, str]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        """What leads dray here, with a token that is right."""
        return {
            "AZURE_ARM_ENDPOINT": self.url,
            "REQUESTS_CA_BUNDLE": str(self.ca),
            "AZURE_ACCESS_TOKEN": TOKEN,
            "AZURE_SUBSCRIPTION_ID": "subid1",
        }

    def gives(self, *values: bytes | Mapping[str, Any]) -> None:
        """Answer with kubeconfigs, as documents or as the bytes themselves."""
        contents = [each if isinstance(each, bytes) else yaml.safe_dump(dict(each)).encode() for each in values]
        body = {
            "kubeconfigs": [
                {"name": "clusterUser", "value": base64.b64encode(content).decode()} for content in contents
            ]
        }
        jsonschema.validate(body, _schema("CredentialResults"), jsonschema.Draft4Validator)
        self.answers = [(200, body)]

    def refuses(self, status: int, code: str, message: str) -> None:
        """Answer with an error."""
        body = {"error": {"code": code, "message": message}}
        jsonschema.validate(body, _schema("CloudError"), jsonschema.Draft4Validator)
        self.answers = [(status, body)]

    async def answer(self, request: Request) -> Response:
        """One request."""
        self.problems += _problems(request, await request.body())
        self.asked.append({**request.path_params, **request.query_params})
        status, body = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return JSONResponse(body, status)


@contextmanager
def cluster_credentials(folder: Path) -> Iterator[ClusterCredentials]:
    """Runs one until the block ends."""
    given = ClusterCredentials()
    assert _ROUTE in cluster_swagger()["paths"]
    app = Starlette(routes=[Route(_ROUTE, given.answer, methods=["POST"])])
    with serving_stand_in(folder, lambda _: app, Faults({}), FakeRunner()) as (given.url, given.ca):
        yield given


def _problems(request: Request, body: bytes) -> Iterator[str]:
    swagger = cluster_swagger()
    given = {**request.path_params, **request.query_params}
    parameters = [swagger["parameters"][each["$ref"].rpartition("/")[2]] for each in _operation(swagger)["parameters"]]
    if unknown := given.keys() - {each["name"] for each in parameters} - _NEWER:
        yield f"parameters {sorted(unknown)}"
    for each in parameters:
        value = given.get(each["name"])
        if value is None:
            if each.get("required"):
                yield f"{each['name']} is missing"
        elif not re.search(each.get("pattern", ""), value) or len(value) > each.get("maxLength", 1000):
            yield f"{each['name']} is {value!r}"
    version = given.get("api-version", "")
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", version) or version < swagger["info"]["version"]:
        yield f"api-version is {version!r}"
    if request.headers.get("authorization") != f"Bearer {TOKEN}":
        yield "the token is another"
    if body:
        yield f"a body of {len(body)} bytes"


def _operation(swagger: Mapping[str, Any]) -> Mapping[str, Any]:
    return dict(swagger["paths"][_ROUTE]["post"])


def _schema(name: str) -> dict[str, Any]:
    definitions = cluster_swagger()["definitions"]
    return {"$ref": f"#/definitions/{name}", "definitions": definitions}
