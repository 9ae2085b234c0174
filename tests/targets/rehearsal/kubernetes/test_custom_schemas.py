"""The Gateway API's own schemas name every field and list that the stand-in's do."""

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from targets.rehearsal.kubernetes.shapes import Shape, shape_of
from tests.support.absent import absent

CONTRACTS = Path(__file__).parents[4] / "../shared/contracts/k8s/gateway-api"
META = ("metadata", "apiVersion", "kind")


@cache
def published(name: str) -> dict[str, Any]:
    """The schema of version 1."""
    path = CONTRACTS / name
    if not path.is_file():
        absent("the schemas of the Gateway API are not beside this checkout")
    found = yaml.safe_load(path.read_text(encoding="utf-8"))
    return next(each["schema"]["openAPIV3Schema"] for each in found["spec"]["versions"] if each["name"] == "v1")


def differences(own: Shape, theirs: dict[str, Any], path: str = "") -> list[str]:
    """Where ours says something else than theirs."""
    if own.form == "struct" and "properties" in theirs:
        names = [name for name in own.fields if path or name not in META]
        found = [f"{path}.{name} is not theirs" for name in names if name not in theirs["properties"]]
        known = [name for name in names if name in theirs["properties"]]
        unknown = sorted(set(theirs["properties"]) - set(names) - set(META))
        found += [f"{path}.{name} is not ours" for name in unknown]
        below = [
            each
            for name in known
            for each in differences(own.fields[name], theirs["properties"][name], f"{path}.{name}")
        ]
        return found + below
    if own.form == "list":
        kind = theirs.get("x-kubernetes-list-type", "atomic")
        same = (own.listed, list(own.list_keys)) == (kind, theirs.get("x-kubernetes-list-map-keys", []))
        return [
            *([] if same else [f"{path} merges as {kind}"]),
            *differences(own.element, theirs["items"], f"{path}[]"),
        ]
    return []


@pytest.mark.parametrize(("kind", "file"), [("Gateway", "gateways.yaml"), ("HTTPRoute", "httproutes.yaml")])
def test_fields_and_lists_are_those_of_the_gateway_api(kind: str, file: str) -> None:
    own = shape_of(f"gateway.networking.k8s.io.v1.{kind}")

    assert differences(own, published(file)) == []
