"""``plan``, ``deploy``, ``ship``: from a package or a model to an endpoint."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from packager.cli import render
from packager.cli.common import AcceptUnverified, Name, Overrides, ProjectPath, TargetName, Timeout, command
from packager.cli.console import Console, Format
from packager.cli.model_options import MODEL_OPTIONS, Model, chosen_model, package_options
from packager.core.deployment import DeploymentPlan
from packager.core.errors import UsageError
from packager.documents import DeployDocument
from packager.project import ProjectFile, load_project

if TYPE_CHECKING:
    from packager.pipeline import DeployRequest

CHANGES = 10
_LONGEST_EXAMPLE = 2000
Source = Annotated[
    str | None,
    typer.Argument(help="A package, or an image by name; a model is packaged in the cache.", metavar="SOURCE"),
]


Base = Annotated[
    str | None,
    typer.Option("--base", metavar="REF|PATH", help="Base of the image, for targets that take one."),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    command(app, MODEL_OPTIONS, name="plan", help="Print what deploy would change, exactly; change nothing.")(_plan)
    command(app, name="deploy", help="Plan, apply, wait, smoke-test; roll back if the tests fail.")(_deploy)
    command(app, MODEL_OPTIONS, name="ship", help="Package and deploy a model in one go.")(_ship)


def _plan(
    console: Console,
    source: Source = None,
    target: TargetName = None,
    *,
    options: Mapping[str, Any],
    overrides: Overrides = None,
    accept_unverified: AcceptUnverified = False,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit 0 for no change and 10 for changes.")] = False,
    timeout: Timeout = 600.0,
    file: ProjectPath = None,
) -> None:
    from packager.pipeline import plan

    project = load_project(file)
    request = _request(console, project, target, options["name"], overrides, accept_unverified, timeout)
    given = package_options(console, project, options)
    with console.progress() as progress:
        document = plan(chosen_model(source, project), request, progress=progress, **given)
    console.result(document, lambda: render.plan(document))
    if exit_code and document.changes_anything:
        raise typer.Exit(CHANGES)


def _deploy(
    console: Console,
    source: Annotated[str, typer.Argument(help="A model package, or an image by its name.", metavar="SOURCE")],
    target: TargetName = None,
    name: Name = None,
    overrides: Overrides = None,
    accept_unverified: AcceptUnverified = False,
    base: Base = None,
    timeout: Timeout = 600.0,
    file: ProjectPath = None,
) -> None:
    from packager.pipeline import deploy

    project = load_project(file)
    request = _request(console, project, target, name, overrides, accept_unverified, timeout, base)
    with console.progress() as progress:
        document = deploy(source, request, progress=progress)
    console.result(document, lambda: render.deployed(document))
    _say_how_to_ask(console, document)


def _ship(
    console: Console,
    model: Model = None,
    target: TargetName = None,
    *,
    options: Mapping[str, Any],
    accept_unverified: AcceptUnverified = False,
    overrides: Overrides = None,
    base: Base = None,
    timeout: Timeout = 600.0,
    file: ProjectPath = None,
) -> None:
    from packager.pipeline import ship

    project = load_project(file)
    given = package_options(console, project, options)
    request = _request(console, project, target, options["name"], overrides, accept_unverified, timeout, base)
    chosen = chosen_model(model, project)
    with console.progress() as progress:
        document = ship(chosen, deployment=request, progress=progress, timeout_s=timeout, **given)
    console.result(document, lambda: render.deployed(document))
    _say_how_to_ask(console, document)


def _say_how_to_ask(console: Console, document: DeployDocument) -> None:
    """A curl line that works, where one row of the model fits on a screen."""
    from packager.pack import open_package
    from packager.smoke import request_for

    if console.format is Format.JSON or document.package is None or document.endpoint is None:
        return
    request = request_for(open_package(Path(document.package)).test_data_sets()[0])
    if request is None or len(body := request.model_dump_json(exclude_none=True)) > _LONGEST_EXAMPLE:
        return
    url = f"{document.endpoint}/v2/models/{document.model}/infer"
    console.note(f"try it    curl -s {url} -H 'content-type: application/json' -d {shlex.quote(body)}")


def _request(
    console: Console,
    project: ProjectFile,
    target: str | None,
    name: str | None,
    overrides: list[str] | None,
    accept_unverified: bool,
    timeout_s: float,
    base: str | None = None,
) -> "DeployRequest":
    from packager.pipeline import DeployRequest  # kept out of start-up

    section = project.targets.get(target) if target else None
    return DeployRequest(
        target=section.target if section else target or "local",
        name=name or project.name,
        configured=section.settings if section else {},
        overrides=tuple(overrides or ()),
        accept_unverified=accept_unverified,
        image={"base": base or project.image.base},
        timeout_s=timeout_s,
        confirm=lambda plan: confirmed(console, plan),
    )


def confirmed(console: Console, plan: DeploymentPlan) -> bool:
    """Show a plan, and ask about it where it says that a person must agree.

    Raises:
        UsageError: Somebody must agree, and nobody can be asked.
    """
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
