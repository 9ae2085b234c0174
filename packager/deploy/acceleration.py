"""Deployments that shall compute on a card are asked where they do: what was deployed need not be what runs."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from packager.core.deployment import Deployment
from packager.core.errors import DrayError
from packager.core.protocols import Target


def with_acceleration(deployments: Sequence[Deployment], targets: Sequence[Target[Any]]) -> tuple[Deployment, ...]:
    """The same, with ``detail.acceleration`` as the runtime says it where an execution provider was asked for."""
    by_name = {target.name: target for target in targets}
    return tuple(_asked(each, by_name[each.target]) for each in deployments)


def _asked(deployment: Deployment, target: Target[Any]) -> Deployment:
    provider = (deployment.detail.get("settings") or {}).get("provider")
    if provider is None or deployment.state != "running":
        return deployment
    try:
        with target.connect(deployment) as client:
            told = (client.metadata(deployment.model).parameters or {}).get("acceleration")
    except DrayError as error:
        told = {"asked": [provider], "error": error.as_dict()}
    return replace(deployment, detail={**deployment.detail, "acceleration": told}) if told else deployment
