"""Microsoft's own description of its APIs of container instances and clusters, beside the checkout; never copied."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema

from tests.support.absent import absent

_CONTRACTS = Path(__file__).parents[2] / "../shared/contracts"
_EXPRESSION = "https://schema.management.azure.com/schemas/common/definitions.json#/definitions/expression"
SWAGGER = _CONTRACTS / "swagger/containerinstance-2021-03-01/containerInstance.json"
_CLUSTERS = _CONTRACTS / "swagger/containerservice-2021-05-01/managedClusters.json"


def _document(path: Path) -> Any:
    if not path.is_file():
        absent("the contracts of Azure are not beside this checkout")
    return json.loads(path.read_text(encoding="utf-8-sig"))


@cache
def arm_schema() -> dict[str, Any]:
    """The ARM schema of a container group, as the service has it.

    No template expressions, which no request holds; cpu and memoryInGB are numbers, as the swagger says; nothing else
    than what is named is allowed, else a typing error passes.
    """
    given = _document(_CONTRACTS / "arm-schemas/Microsoft.ContainerInstance.2023-05-01.json")
    schema: dict[str, Any] = _strict(given["resourceDefinitions"]["containerGroups"])
    schema["definitions"] = {name: _strict(each) for name, each in given["definitions"].items()}
    for name in ("ResourceRequests", "ResourceLimits"):
        for amount in ("cpu", "memoryInGB"):
            schema["definitions"][name]["properties"][amount] = {"type": "number"}
    # The schema says nothing of these; they are objects in the swagger and in the SDK.
    schema["definitions"]["Volume"]["properties"]["emptyDir"] = {"type": "object"}
    for name in ("settings", "protectedSettings"):
        schema["definitions"]["DeploymentExtensionSpecProperties"]["properties"][name] = {"type": "object"}
    # What only a template needs: a request's address says them.
    schema["required"] = ["properties"]
    return schema


@cache
def group_validator() -> jsonschema.Draft4Validator:
    """Validates a container group as it is sent."""
    return jsonschema.Draft4Validator(arm_schema())


def errors_in(body: dict[str, Any]) -> list[str]:
    """What the ARM schema finds wrong with a container group."""
    return [f"{list(each.absolute_path)}: {each.message}" for each in group_validator().iter_errors(body)]


def swagger() -> dict[str, Any]:
    """The swagger of 2021-03-01."""
    given: dict[str, Any] = _document(SWAGGER)
    return given


def example(name: str) -> dict[str, Any]:
    """One of the swagger's examples."""
    given: dict[str, Any] = _document(SWAGGER.parent / f"examples/{name}.json")
    return given


@cache
def cluster_swagger() -> dict[str, Any]:
    """The swagger of Kubernetes clusters, 2021-05-01."""
    given: dict[str, Any] = _document(_CLUSTERS)
    return given


def _strict(node: Any) -> Any:
    if isinstance(node, list):
        return [_strict(each) for each in node]
    if not isinstance(node, dict):
        return node
    choices = node.get("oneOf")
    if choices is not None:
        kept = [each for each in choices if each.get("$ref") != _EXPRESSION]
        return _strict(kept[0]) if len(kept) == 1 else {"oneOf": _strict(kept)}
    fixed = {key: _strict(each) for key, each in node.items() if key != "description" or not isinstance(each, str)}
    if fixed.get("type") == "object" and "additionalProperties" not in fixed and "properties" in fixed:
        fixed["additionalProperties"] = False
    return fixed
