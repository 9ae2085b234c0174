"""``image``: a container image of a package, with or without an engine."""

from pathlib import Path
from typing import Annotated, Any

import typer

from packager.cli.common import AcceptUnverified, ProjectPath, command
from packager.cli.console import Console
from packager.core.errors import UsageError
from packager.project import load_project


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, name="image", help="Build, and with --push push, the container image of a package.")(_image)


def _image(
    console: Console,
    package: Annotated[Path | None, typer.Argument(help="A model package.", metavar="PACKAGE")] = None,
    builder: Annotated[
        str, typer.Option("--builder", metavar="auto|docker|oci", help="docker: into an engine; oci: without one.")
    ] = "auto",
    platform: Annotated[
        list[str] | None, typer.Option("--platform", metavar="OS/ARCH", help="linux/amd64, linux/arm64; repeatable.")
    ] = None,
    base: Annotated[
        str | None, typer.Option("--base", metavar="REF|PATH", help="Base image with Python 3.11 to 3.13.")
    ] = None,
    tag: Annotated[str | None, typer.Option("--tag", metavar="REF", help="Name of the image.")] = None,
    push: Annotated[bool, typer.Option("--push", help="Push it to the registry that its name says.")] = False,
    out: Annotated[
        Path | None, typer.Option("--output", metavar="DIR|FILE.tar", help="Write an OCI layout, or an archive.")
    ] = None,
    wheelhouse: Annotated[
        Path | None, typer.Option("--wheelhouse", metavar="DIR", help="Folder of wheels instead of an index.")
    ] = None,
    compiled: Annotated[
        bool, typer.Option("--compile/--no-compile", help="Compile Python modules for the image's Python.")
    ] = True,
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
    section = load_project(file).image
    options: dict[str, Any] = {
        "builder": builder, "platforms": platform or section.platforms, "base": base or section.base, "tag": tag,
        "registry": section.registry, "push": push, "output": out, "wheelhouse": wheelhouse, "compiled": compiled,
        "accept_unverified": accept_unverified,
    }  # fmt: skip
    with console.progress() as progress:
        if generate is not None:
            images.generate_context(package, generate, progress=progress, **options)
            named = " --build-arg BASE=NAME-OF-THE-BASE" if base and Path(base).exists() else ""
            console.note(f"docker build{named} {generate}")
            return
        document = images.build_image(package, progress=progress, **options)
    console.note(f"{document.size_bytes / 1e6:.1f} MB compressed, in {', '.join(document.places)}")
    console.result(document, lambda: document.image)
