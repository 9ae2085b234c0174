"""``image``: a container image of a package, with or without an engine."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from packager.cli.common import AcceptUnverified, ProjectPath, command
from packager.cli.console import Console
from packager.cli.deploy_options import IMAGE_OPTIONS, image_options
from packager.core.errors import UsageError
from packager.project import load_project

if TYPE_CHECKING:
    from packager.images import ImageOptions


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, IMAGE_OPTIONS, name="image", help="Build, and with --push push, the container image of a package.")(
        _image
    )


def _image(
    console: Console,
    package: Annotated[Path | None, typer.Argument(help="A model package.", metavar="PACKAGE")] = None,
    *,
    options: Mapping[str, Any],
    builder: Annotated[
        str, typer.Option("--builder", metavar="auto|docker|oci", help="docker: into an engine; oci: without one.")
    ] = "auto",
    push: Annotated[bool, typer.Option("--push", help="Push it to the registry that its name says.")] = False,
    out: Annotated[
        Path | None, typer.Option("--output", metavar="DIR|FILE.tar", help="Write an OCI layout, or an archive.")
    ] = None,
    generate: Annotated[
        Path | None, typer.Option("--generate", metavar="DIR", help="Write a Dockerfile and its context instead.")
    ] = None,
    verify: Annotated[
        str | None, typer.Option("--verify", metavar="REF|PATH", help="Check that an image holds what it claims.")
    ] = None,
    accept_unverified: AcceptUnverified = False,
    file: ProjectPath = None,
) -> None:
    from packager import images  # kept out of start-up

    if verify is not None:
        with console.progress() as progress:
            checked = images.verify(verify, progress=progress)
        console.result(checked, lambda: f"{checked.image} holds the package {checked.package_digest}")
        return
    if package is None:
        raise UsageError("which package?", hint="dray image PACKAGE")
    given: ImageOptions = {
        **image_options(load_project(file), options),
        "builder": builder, "push": push, "output": out, "accept_unverified": accept_unverified,
    }  # fmt: skip
    with console.progress() as progress:
        if generate is not None:
            images.generate_context(package, generate, progress=progress, **given)
            base = options["base"]
            named = " --build-arg BASE=NAME-OF-THE-BASE" if base and Path(base).exists() else ""
            console.note(f"docker build{named} {generate}")
            return
        document = images.build_image(package, progress=progress, **given)
    console.note(f"{document.size_bytes / 1e6:.1f} MB compressed, in {', '.join(document.places)}")
    console.result(document, lambda: document.image)
