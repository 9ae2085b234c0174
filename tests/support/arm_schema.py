"""Azure's published schema of a container group, made as strict as the service is."""

import json
from pathlib import Path
from typing import Any

import jsonschema

from tests.support.absent import absent

SCHEMA = Path(__file__).parents[2] / "../shared/contracts/arm-schemas/Microsoft.ContainerInstance.2023-05-01.json"
# The schema says integer; the swagger of the same version, and the service, say double.
_NUMBERS = [(kind, key) for kind in ("ResourceRequests", "ResourceLimits") for key in ("cpu", "memoryInGB")]


def group_validator() -> jsonschema.Draft4Validator:
    """Validates a body as it is sent, with ``name``, ``type`` and ``apiVersion`` as templates have them."""
    if not SCHEMA.is_file():
        absent(f"{SCHEMA.name} of Azure is not here")
    document = json.loads(SCHEMA.read_text(encoding="utf-8"))
    for kind, key in _NUMBERS:
        document["definitions"][kind]["properties"][key] = {"type": "number"}
    group = {**document["resourceDefinitions"]["containerGroups"], "definitions": document["definitions"]}
    return jsonschema.Draft4Validator(_strict(group))


def errors_in(body: dict[str, Any]) -> list[str]:
    """What the schema finds wrong with a body."""
    whole = {**body, "name": "x", "type": "Microsoft.ContainerInstance/containerGroups", "apiVersion": "2023-05-01"}
    return [f"{list(e.absolute_path)}: {e.message}" for e in group_validator().iter_errors(whole)]


def _strict(schema: Any) -> Any:
    """No unknown keys, else typos pass; expressions of templates are text that no request may be."""
    if isinstance(schema, list):
        return [_strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "oneOf" in schema:
        [own] = [each for each in schema["oneOf"] if "common/definitions" not in str(each.get("$ref"))]
        return _strict(own)
    made = {key: _strict(value) for key, value in schema.items()}
    if schema.get("type") == "object" and schema.get("properties"):
        made.setdefault("additionalProperties", False)
    return made
