"""Schemas and real examples of deployment manifests, which lie beside the checkout; never copied."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema

from tests.support.absent import absent

_CONTRACTS = Path(__file__).parents[2] / "../shared/contracts/iotedge"
_SCHEMAS = "schemastore/src/schemas/json/azure-iot-"
# Manifests for one device, as others' tests have them.
EXAMPLES = (
    "azure-iot-cli-extension/test_edge_deployment.json",
    "azure-iot-cli-extension/test_edge_deployment_v11.json",
    "azure-iot-cli-extension/test_edge_deployment_ea_v11_eh_v12.json",
    "schemastore/src/test/azure-iot-edge-deployment-2.0/deployment.json",
)
LAYERED = "azure-iot-cli-extension/test_edge_deployment_layered.json"


@cache
def document(path: str) -> Any:
    """One of the files."""
    if not (_CONTRACTS / path).is_file():
        absent("the contracts of IoT Edge are not beside this checkout")
    return json.loads((_CONTRACTS / path).read_text(encoding="utf-8-sig"))


def example(path: str) -> dict[str, Any]:
    """Modules' content of a manifest."""
    found = document(path)
    content: dict[str, Any] = (found.get("content") or found)["modulesContent"]
    return content


def errors_in(schema: str, body: Any) -> set[str]:
    """What a schema finds wrong, such as ``edge-deployment-2.0``."""
    return {f"{list(each.absolute_path)}: {each.message[:300]}" for each in _validator(schema).iter_errors(body)}


@cache
def _validator(schema: str) -> jsonschema.Draft4Validator:
    return jsonschema.Draft4Validator(document(f"{_SCHEMAS}{schema}.json"))


def layer_errors(content: dict[str, Any]) -> list[str]:
    """What breaks the rule of layered deployments, which no schema has.

    Each property is a path below ``properties.desired``; put where they belong, modules and routes are as the schemas
    of whole deployments have them.
    """
    wrong = [
        path
        for properties in content.values()
        for path in properties
        if not path.startswith("properties.desired.") or path.endswith(".")
    ]
    agent = {
        "schemaVersion": "1.1",
        "runtime": {"type": "docker", "settings": {}},
        "systemModules": _system_modules(),
        "modules": {},
    }
    hub: dict[str, Any] = {"schemaVersion": "1.2", "routes": {}}
    for target, module in ((agent, "$edgeAgent"), (hub, "$edgeHub")):
        for path, value in content.get(module, {}).items():
            *parents, last = path.removeprefix("properties.desired.").split(".")
            place: dict[str, Any] = target
            for parent in parents:
                place = place.setdefault(parent, {})
            place[last] = value
    wrong += errors_in("edgeagent-deployment-1.1", {"$edgeAgent": {"properties.desired": agent}})
    wrong += errors_in("edgehub-deployment-1.2", {"$edgeHub": {"properties.desired": hub}})
    return wrong


def _system_modules() -> dict[str, Any]:
    hub = {"type": "docker", "status": "running", "restartPolicy": "always", "settings": {"image": "hub"}}
    return {"edgeAgent": {"type": "docker", "settings": {"image": "agent"}}, "edgeHub": hub}
