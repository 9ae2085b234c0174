"""``package``, ``inspect``, ``serve``: a model and its package on this machine."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from packager.cli import render
from packager.cli.common import AcceptUnverified, ProjectPath, Timeout, command
from packager.cli.console import Console
from packager.cli.model_options import MODEL_OPTIONS, Model, chosen_model, package_options
from packager.project import load_project


def register(app: typer.Typer) -> None:
    """Add the commands."""
    command(app, MODEL_OPTIONS, name="package", help="Convert a model to ONNX, verify it, write a model package.")(
        _package
    )
    command(app, name="inspect", help="Check a package's digests; print its manifest and certificate.")(_inspect)
    command(app, name="serve", help="Run the runtime here, in the foreground.")(_serve)


def _package(
    console: Console,
    model: Model = None,
    *,
    options: Mapping[str, Any],
    timeout: Timeout = 600.0,
    file: ProjectPath = None,
) -> None:
    from packager.pipeline import package  # kept out of start-up

    project = load_project(file)
    given = package_options(console, project, options)
    with console.progress() as progress:
        document = package(chosen_model(model, project), progress=progress, timeout_s=timeout, **given)
    console.note(render.certificate(document))
    console.result(document, lambda: document.package)


def _inspect(
    console: Console, package: Annotated[Path, typer.Argument(help="A model package.", metavar="PACKAGE")]
) -> None:
    from packager.documents import InspectDocument, PackageDocument
    from packager.pack import open_package

    opened = open_package(package)
    document = InspectDocument.of(opened)
    console.result(document, lambda: render.inspection(document, PackageDocument.of(opened)))


def _serve(
    console: Console,
    packages: Annotated[list[Path], typer.Argument(help="Model packages.", metavar="PACKAGE...")],
    host: Annotated[str, typer.Option("--host", metavar="ADDRESS", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", metavar="PORT", min=1, max=65535, help="Port to listen on.")] = 8080,
    threads: Annotated[
        int | None, typer.Option("--threads", metavar="N", min=1, help="Threads of one inference.")
    ] = None,
    workers: Annotated[
        str | None,
        typer.Option("--workers", metavar="N|auto", help="Processes that answer; auto: one for each CPU."),
    ] = None,
    fast_path: Annotated[
        bool, typer.Option("--fast-path/--no-fast-path", help="Answer inference below FastAPI where that is possible.")
    ] = True,
    accept_unverified: AcceptUnverified = False,
) -> None:
    from packager.core.extras import require_extra
    from packager.pack import open_package

    require_extra("runtime")
    opened = [open_package(path, accept_unverified=accept_unverified) for path in packages]
    for package in opened:
        console.note(f"serving {package.manifest.name} {package.manifest.version} on http://{host}:{port}")
    settings = {
        "DRAY_PACKAGES": ":".join(str(package.root) for package in opened),
        "DRAY_HOST": host,
        "DRAY_PORT": str(port),
        **({"DRAY_THREADS": str(threads)} if threads else {}),
        **({"DRAY_WORKERS": workers} if workers else {}),
        **({} if fast_path else {"DRAY_FAST_PATH": "0"}),
    }
    sys.stdout.flush()
    # -P: no folder of the user's can shadow the runtime. The same process goes on, so signals reach the server itself.
    os.execve(sys.executable, [sys.executable, "-P", "-m", "runtime"], {**os.environ, **settings})  # noqa: S606
