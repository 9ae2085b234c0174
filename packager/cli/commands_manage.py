"""``test``, ``invoke``, ``status``, ``logs``, ``rollback``, ``delete``: what runs already."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from packager.cli import render
from packager.cli.commands_deploy import confirmed
from packager.cli.common import ProjectPath, TargetName, Timeout, command
from packager.cli.console import Console, Format
from packager.core.deployment import Deployment
from packager.core.errors import UsageError
from packager.core.protocols import InferenceClient, Target
from packager.project import load_project

SMOKE_FAILED = 6
Where = Annotated[str, typer.Argument(help="A deployment's name, or a URL.", metavar="NAME|URL")]
DeploymentName = Annotated[str, typer.Argument(help="A deployment's name.", metavar="NAME")]


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
    timeout: Timeout = 30.0,
    file: ProjectPath = None,
) -> None:
    from packager.documents import SmokeDocument
    from packager.pack import open_package
    from packager.smoke import run_smoke

    with console.progress() as progress, _client(where, target, file) as (client, deployment):
        path = package or (Path(deployment.package) if deployment and deployment.package else None)
        if path is None:
            raise UsageError(f"no known package to hold {where!r} to", hint="add --package with the model package")
        progress.step(f"asking {where}")
        document = SmokeDocument.of(run_smoke(client, open_package(path), timeout_s=timeout))
    console.result(document, lambda: render.smoke(document))
    if not document.passed:
        raise typer.Exit(SMOKE_FAILED)


def _invoke(
    console: Console,
    where: Where,
    input_file: Annotated[
        Path | None,
        typer.Option("--input", metavar="FILE", help="A request: .json (v2, rows or by name), .csv, .npy or .npz."),
    ] = None,
    values: Annotated[
        list[str] | None,
        typer.Option("-i", metavar="NAME=VALUE", help="An input as NAME=VALUE, the value in JSON; repeatable."),
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", metavar="NAME", help="Name of the model, for a URL that serves several.")
    ] = None,
    target: TargetName = None,
    timeout: Timeout = 30.0,
    file: ProjectPath = None,
) -> None:
    from packager.smoke import build_request

    if (input_file is None) == (not values):
        raise UsageError("an invocation takes either --input or -i", hint="for example -i 'X=[[5.1, 3.5, 1.4, 0.2]]'")
    with _client(where, target, file) as (client, deployment):
        name = model or (deployment.model if deployment else _only_model(client))
        request = build_request(client.metadata(name), input_file, values or ())
        answer = client.infer(name, request, timeout_s=timeout)
    console.write(
        render.answer(answer) if console.format is Format.TEXT else answer.model_dump_json(indent=2, exclude_none=True)
    )


def _status(
    console: Console,
    name: Annotated[str | None, typer.Argument(help="A deployment's name; all where left out.", metavar="NAME")] = None,
    target: TargetName = None,
    file: ProjectPath = None,
) -> None:
    from packager import deploy
    from packager.documents import DeploymentDocument, StatusDocument

    targets = _targets(target, file)
    found = [deploy.find(name, targets)[1]] if name else deploy.find_all(targets)
    document = StatusDocument(tuple(DeploymentDocument.of(deployment) for deployment in found))
    console.result(document, lambda: render.status(console, document))


def _logs(
    console: Console,
    name: DeploymentName,
    follow: Annotated[bool, typer.Option("--follow", help="Go on printing until interrupted.")] = False,
    tail: Annotated[int | None, typer.Option("--tail", metavar="N", min=0, help="Print the last N lines only.")] = None,
    target: TargetName = None,
    file: ProjectPath = None,
) -> None:
    from collections import deque

    where, deployment = _find(name, target, file)
    lines = where.logs(deployment, follow=follow)
    if tail is not None and not follow:
        lines = iter(deque(lines, maxlen=tail))
    for line in lines:
        console.write(line)


def _rollback(
    console: Console,
    name: DeploymentName,
    target: TargetName = None,
    timeout: Timeout = 600.0,
    file: ProjectPath = None,
) -> None:
    from packager.pipeline import rollback

    with console.progress() as progress:
        document = rollback(
            name,
            _targets(target, file),
            confirm=lambda plan: confirmed(console, plan),
            timeout_s=timeout,
            progress=progress,
        )
    console.result(document, lambda: render.deployed(document))


def _delete(console: Console, name: DeploymentName, target: TargetName = None, file: ProjectPath = None) -> None:
    from packager import deploy
    from packager.documents import DeletedDocument

    where, deployment = _find(name, target, file)
    console.note(f"plan for {name} on {deployment.target}\n  delete   {deployment.endpoint or name}")
    if not console.assume_yes and console.ask("Go on?") is False:
        raise KeyboardInterrupt
    with console.progress() as progress:
        deploy.destroy(where, deployment, progress=progress)
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
def _client(where: str, target: str | None, file: Path | None) -> Iterator[tuple[InferenceClient, Deployment | None]]:
    """A client of a URL, or of a deployment through its target."""
    if "://" in where:
        from packager.core.http_client import HttpInferenceClient

        with HttpInferenceClient(where) as client:
            yield client, None
        return
    found, deployment = _find(where, target, file)
    with found.connect(deployment) as connected:
        yield connected, deployment


def _find(name: str, target: str | None, file: Path | None) -> tuple[Target[Any], Deployment]:
    from packager import deploy

    return deploy.find(name, _targets(target, file))


def _targets(target: str | None, file: Path | None) -> Sequence[Target[Any]]:
    """The targets to look in: one where ``-t`` says so, else all."""
    from packager import plugins

    if target is None:
        return tuple(plugins.targets().values())
    section = load_project(file).targets.get(target)
    return (plugins.target(section.target if section else target),)
