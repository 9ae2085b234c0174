"""A small cloud of the tests: things that run images, behind the same seam as the real stand-ins."""

import asyncio
import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from packager.core.protocols import Target
from targets.local import LocalTarget
from targets.rehearsal.layout import StageFacts, StageFolder
from targets.rehearsal.opening import OpensStage
from targets.rehearsal.workload import PullCredential, PullRefused, Workload
from targets.rehearsal.world import World

FAULTS = {"quota": "no thing can be made", "drop": "nothing is answered"}


def create_app(world: World) -> Starlette:
    """PUT, GET and DELETE of ``/things/NAME``."""
    things: dict[str, str] = {}

    async def put(request: Request) -> Response:
        if request.headers.get("authorization") != f"Bearer {world.token}":
            return JSONResponse({}, status_code=401)
        if world.faults.due("quota"):
            return JSONResponse({"error": "quota"}, status_code=409)
        name, body = request.path_params["name"], await request.json()
        credential = PullCredential(**body["credential"]) if body.get("credential") else None
        try:
            digest = await asyncio.to_thread(world.runner.pull, body["image"], credential)
        except PullRefused as refused:
            return JSONResponse({"kind": refused.kind, "message": str(refused)}, status_code=400)
        workload = Workload(
            id=f"{name}/1",
            image=body["image"],
            address="127.0.0.1",
            ports=(body["port"],),
            environment=body.get("environment", {}),
            files={path: base64.b64decode(content) for path, content in body.get("files", {}).items()},
        )
        await asyncio.to_thread(world.runner.start, workload)
        things[name] = workload.id
        world.held(len(things))
        return JSONResponse({"digest": digest})

    async def get(request: Request) -> Response:
        status = await asyncio.to_thread(world.runner.status, things[request.path_params["name"]])
        return JSONResponse({"state": status.state, "exit_code": status.exit_code})

    async def delete(request: Request) -> Response:
        await asyncio.to_thread(world.runner.remove, things.pop(request.path_params["name"]))
        world.held(len(things))
        return JSONResponse({})

    routes = [Route("/things/{name}", call, methods=[call.__name__.upper()]) for call in (put, get, delete)]
    return Starlette(routes=routes)


@dataclass(frozen=True, slots=True)
class ToyTarget(LocalTarget):
    """What a rehearsal's target is connected by; the tests ask the toy cloud with it themselves."""

    facts: StageFacts | None = None
    folder: StageFolder | None = None

    def client(self, token: str | None = None) -> httpx.Client:
        assert self.facts
        assert self.folder
        headers = {"Authorization": f"Bearer {token or self.folder.token()}"}
        return httpx.Client(
            base_url=self.facts.api, headers=headers, verify=_trust(self.folder.ca_file), trust_env=False, timeout=60
        )


@dataclass(frozen=True, slots=True)
class ToyRehearsal(OpensStage):
    name: ClassVar[str] = "toy"
    faults: ClassVar[dict[str, str]] = FAULTS
    extra: ClassVar[str] = "azure"
    api: ClassVar[str | None] = __name__

    def connect(self, facts: StageFacts, folder: StageFolder) -> Target[Any]:
        return ToyTarget(facts=facts, folder=folder)


def _trust(ca: Path) -> Any:
    import ssl

    return ssl.create_default_context(cafile=ca)


def told(client: httpx.Client, faults: Sequence[str]) -> httpx.Response:
    """The answer to an order of faults."""
    return client.post("/_rehearsal/faults", json={"faults": list(faults)})
