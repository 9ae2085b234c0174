"""Deployments by name, over all targets."""

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from packager.core.deployment import Deployment, TargetSettings
from packager.core.errors import ConfigurationError, DeploymentMissing, DrayError, UsageError
from packager.core.protocols import Target

Targets = Sequence[Target[Any]]
Settings = Mapping[str, TargetSettings]


def find(name: str, targets: Targets, settings: Settings | None = None) -> tuple[Target[Any], Deployment]:
    """The deployment of this name, and the target that has it.

    Args:
        name: Of the deployment.
        targets: Where to look: all of them, or the one that ``-t`` names.
        settings: By target name, where the defaults do not do.

    Raises:
        DeploymentMissing: No target has it; names those that could not be asked.
        UsageError: Two targets have it, or one has it twice.
    """
    found: list[tuple[Target[Any], Deployment]] = []
    silent: dict[str, DrayError] = {}
    for target in targets:
        try:
            deployment = target.inspect(name, settings_of(target, settings))
        except DrayError as error:
            if isinstance(error, UsageError) and not isinstance(error, ConfigurationError):
                raise  # it is there, and more than once
            silent[target.name] = error
            continue
        if deployment is not None:
            found.append((target, deployment))
    if len(found) == 1:
        return found[0]
    if found:
        raise _ambiguous(name, [deployment for _, deployment in found])
    raise _missing(name, targets, silent, settings)


def find_all(targets: Targets, settings: Settings | None = None) -> tuple[Deployment, ...]:
    """All deployments, by target and name.

    Raises:
        DrayError: A target could not be asked; half a list would look like a whole one.
    """
    every = [deployment for target in targets for deployment in target.deployments(settings_of(target, settings))]
    return tuple(sorted(every, key=lambda deployment: (deployment.target, deployment.name)))


def settings_of(target: Target[Any], settings: Settings | None) -> TargetSettings:
    """Those that are given for a target, else its defaults.

    Raises:
        ConfigurationError: It has a setting without a default.
    """
    given = (settings or {}).get(target.name)
    if given is not None:
        return given
    try:
        made: TargetSettings = target.settings_type()
    except ValidationError as error:
        lacking = ".".join(map(str, error.errors()[0]["loc"])) or "a setting"
        raise ConfigurationError(
            f"where {target.name!r} is depends on its setting {lacking!r}",
            hint="-t NAME of a target with its settings in dray.yaml",
        ) from error
    return made


def _ambiguous(name: str, found: Sequence[Deployment]) -> UsageError:
    places = [f"{deployment.target} ({deployment.endpoint or deployment.state})" for deployment in found]
    return UsageError(
        f"{name!r} is deployed to {len(found)} targets: {', '.join(places)}",
        hint=f"say which: -t {' or -t '.join(deployment.target for deployment in found)}",
        detail={"targets": [deployment.target for deployment in found]},
    )


def _missing(
    name: str, targets: Targets, silent: Mapping[str, DrayError], settings: Settings | None
) -> DeploymentMissing:
    if not targets:
        return DeploymentMissing(
            f"no deployment {name!r}: nothing is being rehearsed here",
            hint="`dray deploy … --rehearse` begins a rehearsal; without --rehearse the real targets are asked",
        )
    asked = [target for target in targets if target.name not in silent]
    names = [deployment.name for target in asked for deployment in target.deployments(settings_of(target, settings))]
    close = difflib.get_close_matches(name, names, n=1)
    unasked = "".join(f"; {target} could not be asked: {error.message}" for target, error in silent.items())
    return DeploymentMissing(
        f"no deployment {name!r} on {', '.join(target.name for target in asked) or 'any target'}{unasked}",
        hint=f"did you mean {close[0]!r}?" if close else "`dray status` lists the deployments",
        detail={"not_asked": {target: error.as_dict() for target, error in silent.items()}},
    )
