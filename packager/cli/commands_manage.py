"""``test``, ``invoke``, ``status``, ``logs``, ``rollback``, ``delete``: what runs already."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from packager.cli import render
from packager.cli.common import ProjectPath, TargetName, Timeout, command
from packager.cli.console import Console
from packager.cli.deploy_options import Faults, Rehearse, confirmed
from packager.core.deployment import Deployment
from packager.core.errors import UsageError
from packager.core.protocols import InferenceClient
from packager.project import load_project, resolve_settings

if TYPE_CHECKING:
    from packager.deploy.places import Place, Places

SMOKE_FAILED = 6
Where = Annotated[str, typer.Argument(help="A deployment's name, or a URL.", metavar="NAME|URL")]
DeploymentName = Annotated[str, typer.Argument(help="A deployment's name.", metavar="NAME")]
InputFile = Annotated[
    Path | None,
    typer.Option("--input", metavar="FILE", help="A request: .json (v2, rows or by name), .csv, .npy or .npz."),
]
InputValues = Annotated[
    list[str] | None,
    typer.Option("-i", metavar="NAME=VALUE", help="An input as NAME=VALUE, the value in JSON; repeatable."),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    command(app, name="test", help="Run the smoke tests against a deployment or any URL.")(_test)
    command(app, name="invoke", help="Send one request and print the answer.")(_invoke)
    command(app, name="status", help="List deployments, as their targets show them.")(_status)
    command(app, name="logs", help="Print a deployment's log.")(_logs)
    command(app, name="rollback", help="Put the release that served before back, smoke-tested.")(_rollback)
    command(app, name="delete", help="Remove a deployment and all that belongs to it.")(_delete)


def _test(
    console: Console,
    where: Where,
    package: Annotated[
        Path | None,
        typer.Option(
            "--package", metavar="DIR", help="The package to hold the answers to; a deployment's own otherwise."
        ),
    ] = None,
    target: TargetName = None,
    rehearse: Rehearse = False,
    timeout: Timeout = 30.0,
    file: ProjectPath = None,
) -> None:
    from packager import deploy
    from packager.documents import SmokeDocument
    from packager.pack import open_package
    from packager.releases import package_of_deployment
    from packager.smoke import run_smoke

    with console.progress() as progress, _client(where, target, file, rehearse=rehearse) as (client, found):
        if package is not None:
            held = open_package(package)
        elif found is not None:
            held = package_of_deployment(found[1], found[0], progress)
        else:
            raise UsageError(f"no known package to hold {where!r} to", hint="add --package with the model package")
        progress.step(f"asking {where}")
        document = SmokeDocument.of(run_smoke(client, held, timeout_s=timeout))
        if document.passed and found is not None and package is None:
            deploy.settle(found[0].target, found[1], progress=progress)
    console.result(document, lambda: render.smoke(document))
    if not document.passed:
        raise typer.Exit(SMOKE_FAILED)


def _invoke(
    console: Console,
    where: Where,
    input_file: InputFile = None,
    values: InputValues = None,
    model: Annotated[
        str | None, typer.Option("--model", metavar="NAME", help="Name of the model, for a URL that serves several.")
    ] = None,
    target: TargetName = None,
    rehearse: Rehearse = False,
    timeout: Timeout = 30.0,
    file: ProjectPath = None,
) -> None:
    from packager.documents import AnswerDocument
    from packager.smoke import build_request

    if (input_file is None) == (not values):
        raise UsageError("an invocation takes either --input or -i", hint="for example -i 'X=[[5.1, 3.5, 1.4, 0.2]]'")
    with _client(where, target, file, rehearse=rehearse) as (client, found):
        name = model or (found[1].model if found else _only_model(client))
        request = build_request(client.metadata(name), input_file, values or ())
        answer = client.infer(name, request, timeout_s=timeout)
    console.result(AnswerDocument(answer), lambda: render.answer(answer))


def _status(
    console: Console,
    name: Annotated[str | None, typer.Argument(help="A deployment's name; all where left out.", metavar="NAME")] = None,
    target: TargetName = None,
    rehearse: Rehearse = False,
    file: ProjectPath = None,
) -> None:
    from packager import deploy
    from packager.documents import DeploymentDocument, StatusDocument

    places = places_of(target, file, rehearse=rehearse)
    if name:
        found: Sequence[Deployment] = [places.find(name)[1]]
    else:
        found = deploy.find_all(places.targets, places.settings)
    found = deploy.with_acceleration(found, places.targets)
    document = StatusDocument(tuple(DeploymentDocument.of(deployment) for deployment in found))
    console.result(document, lambda: render.status(console, document))


def _logs(
    console: Console,
    name: DeploymentName,
    follow: Annotated[bool, typer.Option("--follow", help="Go on printing until interrupted.")] = False,
    tail: Annotated[int | None, typer.Option("--tail", metavar="N", min=0, help="Print the last N lines only.")] = None,
    target: TargetName = None,
    rehearse: Rehearse = False,
    file: ProjectPath = None,
) -> None:
    from collections import deque

    place, deployment = places_of(target, file, rehearse=rehearse).find(name)
    lines = place.target.logs(deployment, follow=follow)
    if tail is not None and not follow:
        lines = iter(deque(lines, maxlen=tail))
    for line in lines:
        console.lines(line)


def _rollback(
    console: Console,
    name: DeploymentName,
    target: TargetName = None,
    rehearse: Rehearse = False,
    faults: Faults = None,
    timeout: Timeout = 600.0,
    file: ProjectPath = None,
) -> None:
    from packager.deploy.places import check_faults, open_stage, striking
    from packager.pipeline import rollback

    check_faults(faults or (), rehearse=rehearse)
    place, deployment = places_of(target, file, rehearse=rehearse).find(name)
    kind = deployment.target
    with console.progress() as progress, striking(kind, faults or (), progress):
        open_stage(kind, faults or (), progress, rehearse=rehearse)
        document = rollback(
            place,
            deployment,
            confirm=lambda plan: confirmed(console, plan),
            timeout_s=timeout,
            progress=progress,
        )
    console.result(document, lambda: render.deployed(document))


def _delete(
    console: Console,
    name: DeploymentName,
    target: TargetName = None,
    rehearse: Rehearse = False,
    file: ProjectPath = None,
) -> None:
    from packager import deploy
    from packager.documents import DeletedDocument

    place, deployment = places_of(target, file, rehearse=rehearse).find(name)
    console.note(f"plan for {name} on {deployment.target}\n  delete   {deployment.endpoint or name}")
    if not console.assume_yes and console.ask("Go on?") is False:
        raise KeyboardInterrupt
    with console.progress() as progress:
        deploy.destroy(place.target, deployment, progress=progress)
    document = DeletedDocument(name=deployment.name, target=deployment.target, state="deleted")
    console.result(document, lambda: f"{deployment.name} deleted from {deployment.target}")


def _only_model(client: InferenceClient) -> str:
    """The one model that a URL serves, as dray's runtime says at ``/readyz``."""
    from packager.core.http_client import HttpInferenceClient

    state = client.state() if isinstance(client, HttpInferenceClient) else None
    names = sorted({model["name"] for model in state.models}) if state else []
    if len(names) != 1:
        raise UsageError(
            f"the endpoint serves {', '.join(names) or 'models that it does not name'}", hint="add --model NAME"
        )
    return str(names[0])


@contextmanager
def _client(
    where: str, target: str | None, file: Path | None, *, rehearse: bool
) -> Iterator[tuple[InferenceClient, "tuple[Place, Deployment] | None"]]:
    """A client of a URL, or of a deployment through its target."""
    if "://" in where:
        from packager.core.http_client import HttpInferenceClient

        with HttpInferenceClient(where) as client:
            yield client, None
        return
    place, deployment = places_of(target, file, rehearse=rehearse).find(where)
    with place.target.connect(deployment) as connected:
        yield connected, (place, deployment)


def places_of(target: str | None, file: Path | None, *, rehearse: bool) -> "Places":
    """Where to look: one target where ``-t`` says so, else all; in a rehearsal the stand-ins that live."""
    from packager import plugins
    from packager.deploy.places import Places, rehearsed

    section = load_project(file).targets.get(target) if target else None
    kind = section.target if section else target
    settings = {}
    if section is not None:
        chosen = plugins.target(section.target)
        settings[chosen.name] = resolve_settings(chosen.settings_type, section.settings, ())
    if rehearse:
        return rehearsed(kind, settings)
    return Places((plugins.target(kind),) if kind else tuple(plugins.targets().values()), settings)
