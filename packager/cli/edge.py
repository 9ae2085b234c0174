"""``edge send`` and ``edge watch``: messages into modules of rehearsed edge devices, and what comes up from them."""

import json
import uuid
from typing import TYPE_CHECKING, Annotated

import typer

from packager.cli.commands_manage import DeploymentName, InputFile, InputValues, places_of
from packager.cli.common import ProjectPath, TargetName, command
from packager.cli.console import Console
from packager.cli.deploy_options import Rehearse
from packager.core.deployment import Deployment
from packager.core.edge import EdgeMessage, MessageLine
from packager.core.errors import UsageError

if TYPE_CHECKING:
    from packager.deploy.places import Place

_MOST = 100_000
Device = Annotated[
    str | None, typer.Option("--device", metavar="ID", help="One of its devices; all of them where left out.")
]


def register(app: typer.Typer) -> None:
    """Add the commands, as a group of their own."""
    group = typer.Typer(name="edge", help="Messages of edge devices, in a rehearsal.", no_args_is_help=True)
    command(group, name="send", help="Let a leaf device send a request to a module, by its device's routes.")(_send)
    command(group, name="watch", help="Print what a module sends to the cloud, with its properties.")(_watch)
    app.add_typer(group)


def _send(
    console: Console,
    name: DeploymentName,
    input_file: InputFile = None,
    values: InputValues = None,
    count: Annotated[int, typer.Option("--count", metavar="N", min=1, max=_MOST, help="So many times.")] = 1,
    device: Device = None,
    target: TargetName = None,
    rehearse: Rehearse = False,
    file: ProjectPath = None,
) -> None:
    from packager.documents import SentDocument
    from packager.smoke import build_request

    if (input_file is None) == (not values):
        raise UsageError("a message takes either --input or -i", hint="for example -i 'X=[[5.1, 3.5, 1.4, 0.2]]'")
    place, deployment = places_of(target, file, rehearse=rehearse).find(name)
    line = _line(place, deployment)
    with place.target.connect(deployment) as client:
        request = build_request(client.metadata(deployment.model), input_file, values or ())
    body = json.dumps(request.model_dump(exclude_none=True), ensure_ascii=False).encode()
    first = f"{uuid.uuid4().hex[:12]}-"
    content = {"contentType": "application/json", "contentEncoding": "utf-8"}
    messages = [
        EdgeMessage(body, system={"messageId": f"{first}{number}", **content}) for number in range(1, count + 1)
    ]
    sent = line.send(_module(deployment), messages, device=device)
    document = SentDocument(
        name=name, devices=sent, message_ids=f"{first}1 … {first}{count}" if count > 1 else f"{first}1"
    )
    console.result(document, document.to_text)


def _watch(
    console: Console,
    name: DeploymentName,
    count: Annotated[
        int | None, typer.Option("--count", metavar="N", min=1, max=_MOST, help="End after so many messages.")
    ] = None,
    timeout: Annotated[
        float, typer.Option("--timeout", metavar="S", min=1, help="End when nothing came for so many seconds.")
    ] = 10.0,
    after: Annotated[
        int, typer.Option("--after", metavar="NUMBER", min=0, help="Begin behind this message; 0 with the oldest kept.")
    ] = 0,
    target: TargetName = None,
    rehearse: Rehearse = False,
    file: ProjectPath = None,
) -> None:
    from packager.cli.console import Format
    from packager.documents import MessageDocument, WatchDocument

    place, deployment = places_of(target, file, rehearse=rehearse).find(name)
    found: list[MessageDocument] = []
    for message in _line(place, deployment).watch(_module(deployment), after=after, timeout_s=timeout):
        found.append(MessageDocument.of(message))
        if console.format is not Format.JSON:
            console.lines(found[-1].to_text())
        if count is not None and len(found) >= count:
            break
    if console.format is Format.JSON:
        document = WatchDocument(tuple(found))
        console.result(document, document.to_json)


def _module(deployment: Deployment) -> str:
    """Of a deployment, as its target names it."""
    return str(deployment.detail.get("module") or deployment.name)


def _line(place: "Place", deployment: Deployment) -> MessageLine:
    """The stand-in's way for messages.

    Raises:
        UsageError: There is none.
    """
    if place.stage is None:
        raise UsageError(
            f"messages of {deployment.name!r} go through its device's edge hub, which cannot be reached from here",
            hint="send as a leaf device (its connection string with GatewayHostName=DEVICE), and read the hub's Event "
            "Hub-compatible end point: az iot hub monitor-events; to try both here: --rehearse",
        )
    if place.stage.messages is None:
        raise UsageError(
            f"{deployment.name!r} is on {deployment.target}, which has no messages", hint="dray invoke asks it"
        )
    return place.stage.messages
