"""``plan``, ``deploy``, ``ship``: from a package or a model to an endpoint."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from packager.cli import render
from packager.cli.common import WITH_YAML, ProjectPath, TargetName, Timeout, command
from packager.cli.console import Console, Format
from packager.cli.deploy_options import DEPLOY_OPTIONS, FAULT_OPTIONS, deploy_request
from packager.cli.model_options import MODEL_OPTIONS, Model, chosen_model, package_options
from packager.cli.objects import objects
from packager.documents import DeployDocument
from packager.project import load_project

CHANGES = 10
Source = Annotated[
    str | None,
    typer.Argument(help="A package, or an image by name; a model is packaged in the cache.", metavar="SOURCE"),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    of_model = {**MODEL_OPTIONS, **DEPLOY_OPTIONS}
    of_package = {"name": MODEL_OPTIONS["name"], **DEPLOY_OPTIONS, **FAULT_OPTIONS}
    told = "Print what deploy would change, exactly; change nothing."
    command(app, of_model, common=WITH_YAML, name="plan", help=told)(_plan)
    command(app, of_package, name="deploy", help="Plan, apply, wait, smoke-test; roll back if the tests fail.")(_deploy)
    command(app, {**of_model, **FAULT_OPTIONS}, name="ship", help="Package and deploy a model in one go.")(_ship)


def _plan(
    console: Console,
    source: Source = None,
    target: TargetName = None,
    *,
    options: Mapping[str, Any],
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit 0 for no change and 10 for changes.")] = False,
    timeout: Timeout = 600.0,
    file: ProjectPath = None,
) -> None:
    from packager.pipeline import plan

    project = load_project(file)
    request = deploy_request(console, project, target, options, timeout)
    given = package_options(console, project, options)
    with console.progress() as progress:
        document = plan(chosen_model(source, project), request, progress=progress, **given)
    if console.format is Format.YAML:
        console.write(objects(document, rehearsal=console.rehearsal))
    else:
        console.result(document, lambda: render.plan(document))
    if exit_code and document.changes_anything:
        raise typer.Exit(CHANGES)


def _deploy(
    console: Console,
    source: Annotated[str, typer.Argument(help="A model package, or an image by its name.", metavar="SOURCE")],
    target: TargetName = None,
    *,
    options: Mapping[str, Any],
    timeout: Timeout = 600.0,
    file: ProjectPath = None,
) -> None:
    from packager.pipeline import deploy

    project = load_project(file)
    request = deploy_request(console, project, target, options, timeout)
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
    timeout: Timeout = 600.0,
    file: ProjectPath = None,
) -> None:
    from packager.pipeline import ship

    project = load_project(file)
    given = package_options(console, project, options)
    request = deploy_request(console, project, target, options, timeout)
    chosen = chosen_model(model, project)
    with console.progress() as progress:
        document = ship(chosen, deployment=request, progress=progress, timeout_s=timeout, **given)
    console.result(document, lambda: render.deployed(document))
    _say_how_to_ask(console, document)


def _say_how_to_ask(console: Console, document: DeployDocument) -> None:
    """A line that works, where one row of the model fits on a screen."""
    from packager.cli.example import asking_line

    if console.format is Format.TEXT and (line := asking_line(document, rehearsal=console.rehearsal)):
        console.note(f"try it    {line}")
