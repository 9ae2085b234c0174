"""Strict validation of objects: Kubernetes' own schemas, and the published CRDs of the Gateway API."""

from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import yaml
from kubernetes_validate import utils

from tests.support.absent import absent

_CRDS = Path(__file__).parents[2] / "../shared/contracts/k8s/gateway-api"
_FILES = {"Gateway": "gateways.yaml", "HTTPRoute": "httproutes.yaml"}
VERSIONS = ("1.30", "1.33", "1.37")
# Of projects whose schemas nobody gave us.
_UNKNOWN = ("keda.sh/v1alpha1", "serving.kserve.io/v1beta1")

# It would read a megabyte anew for every object.
utils.schema_contents = cache(utils.schema_contents)


def refuse_invalid(made: dict[str, Any], version: str) -> None:
    """Raises what the schema of a Kubernetes version, or of a CRD, finds wrong; unknown fields among it."""
    if made["apiVersion"].startswith("gateway.networking.k8s.io/"):
        gateway_validator(made["kind"], made["apiVersion"].partition("/")[2]).validate(made)
    elif made["apiVersion"] not in _UNKNOWN:
        kubernetes_validate.validate(made, version, strict=True)


@cache
def gateway_validator(kind: str, version: str) -> Any:
    path = _CRDS / _FILES[kind]
    if not path.is_file():
        absent("the CRDs of the Gateway API are not beside this checkout")
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    [served] = [each for each in document["spec"]["versions"] if each["name"] == version]
    schema = _strict(served["schema"]["openAPIV3Schema"])
    schema["properties"]["metadata"] = {"type": "object"}
    return jsonschema.Draft202012Validator(schema)


def _strict(node: Any) -> Any:
    """No unknown fields, as a server with fieldValidation=Strict has it."""
    if isinstance(node, list):
        return [_strict(each) for each in node]
    if not isinstance(node, dict):
        return node
    made = {key: _strict(value) for key, value in node.items()}
    open_ended = made.get("x-kubernetes-preserve-unknown-fields")
    if made.get("type") == "object" and "properties" in node and not open_ended:
        made.setdefault("additionalProperties", False)
    return made
