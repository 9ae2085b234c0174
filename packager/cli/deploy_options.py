"""The options of images, of deployments and of rehearsals, which several commands take; written once."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from packager.cli.common import AcceptUnverified, Options, Overrides
from packager.cli.console import Console
from packager.core.deployment import DeploymentPlan
from packager.core.errors import UsageError
from packager.project import ProjectFile

if TYPE_CHECKING:
    from packager.images import ImageOptions
    from packager.pipeline import DeployRequest

Rehearse = Annotated[
    bool, typer.Option("--rehearse", help="On a stand-in of the cloud on this machine, without an account.")
]
Faults = Annotated[
    list[str] | None,
    typer.Option("--fault", metavar="NAME[:TIMES]", help="What goes wrong in a rehearsal; `dray targets` lists them."),
]
# By the name that packager.build_image has for it.
IMAGE_OPTIONS: Options = {
    "base": (
        Annotated[
            str | None, typer.Option("--base", metavar="REF|PATH", help="Base of the image, with Python 3.11 to 3.13.")
        ],
        None,
    ),
    "platforms": (
        Annotated[
            list[str] | None,
            typer.Option("--platform", metavar="OS/ARCH", help="linux/amd64, linux/arm64; repeatable."),
        ],
        None,
    ),
    "tag": (Annotated[str | None, typer.Option("--tag", metavar="REF", help="Name of the image.")], None),
    "wheelhouse": (
        Annotated[
            Path | None, typer.Option("--wheelhouse", metavar="DIR", help="Folder of wheels instead of an index.")
        ],
        None,
    ),
    "compiled": (
        Annotated[bool, typer.Option("--compile/--no-compile", help="Compile Python modules for the image's Python.")],
        True,
    ),
}
DEPLOY_OPTIONS: Options = {
    **IMAGE_OPTIONS,
    "overrides": (Overrides, None),
    "update": (
        Annotated[
            str | None,
            typer.Option(
                "--update", metavar="in-place|replace", help="How what serves is updated, where a target knows both."
            ),
        ],
        None,
    ),
    "strategy": (
        Annotated[
            str | None,
            typer.Option(
                "--strategy",
                metavar="rolling|blue-green|canary",
                help="How a new release takes the traffic over, where a target knows several.",
            ),
        ],
        None,
    ),
    "force_conflicts": (
        Annotated[bool, typer.Option("--force-conflicts", help="Take fields of objects that others own.")],
        False,
    ),
    "accept_unverified": (AcceptUnverified, False),
    "rehearse": (Rehearse, False),
}
FAULT_OPTIONS: Options = {"faults": (Faults, None)}


def image_options(project: ProjectFile, given: Mapping[str, Any]) -> "ImageOptions":
    """How an image is built: as the command line says, else the project file.

    Args:
        given: By the names of ``IMAGE_OPTIONS``, among others.
    """
    section = project.image
    return {
        "base": given["base"] or section.base,
        "platforms": given["platforms"] or section.platforms,
        "tag": given["tag"],
        "registry": section.registry,
        "wheelhouse": given["wheelhouse"],
        "compiled": given["compiled"],
    }


def deploy_request(
    console: Console, project: ProjectFile, target: str | None, given: Mapping[str, Any], timeout_s: float
) -> "DeployRequest":
    """Where and how to deploy.

    Args:
        given: By the names of ``DEPLOY_OPTIONS``, ``name``, and ``faults`` where the command takes them.

    Raises:
        UsageError: The target has no such setting.
    """
    from packager.pipeline import DeployRequest  # kept out of start-up

    section = project.targets.get(target) if target else None
    kind = section.target if section else target or "local"
    return DeployRequest(
        target=kind,
        name=given["name"] or project.name,
        configured=section.settings if section else {},
        overrides=(*(given["overrides"] or ()), *_flags(kind, given)),
        accept_unverified=given["accept_unverified"],
        image=image_options(project, given),
        rehearse=given["rehearse"],
        faults=tuple(given.get("faults") or ()),
        timeout_s=timeout_s,
        confirm=lambda plan: confirmed(console, plan),
    )


def _flags(target: str, given: Mapping[str, Any]) -> tuple[str, ...]:
    """Flags that say what a setting of some targets says."""
    return (
        *_setting(target, "update", given["update"], "updates in one way only"),
        *_setting(target, "strategy", given["strategy"], "knows no strategies"),
        *_setting(target, "force_conflicts", "true" if given["force_conflicts"] else None, "shares no fields"),
    )


def _setting(target: str, name: str, value: str | None, otherwise: str) -> tuple[str, ...]:
    from packager import plugins  # kept out of start-up

    if value is None:
        return ()
    if name not in plugins.target(target).settings_type.model_fields:
        flag = f"--{name.replace('_', '-')}"
        raise UsageError(f"{target!r} {otherwise}, not {value!r}", hint=f"leave {flag} out")
    return (f"{name}={value}",)


def confirmed(console: Console, plan: DeploymentPlan) -> bool:
    """Show a plan, and ask about it where it says that a person must agree.

    Raises:
        UsageError: Somebody must agree, and nobody can be asked.
    """
    from packager.cli import render
    from packager.documents import PlanDocument

    console.note(render.plan(PlanDocument.of(plan)))
    if not plan.confirm or console.assume_yes:
        return True
    answer = console.ask("Go on?")
    if answer is None:
        raise UsageError(
            f"this needs a person's agreement: {'; '.join(plan.confirm)}", hint="look at the plan, and add --yes"
        )
    return answer
