"""The options that every command has, written once."""

import functools
import inspect
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Concatenate, ParamSpec

import typer

from packager.cli.console import REHEARSAL, CommonFormat, Console, Format, ProgressStyle
from packager.core.errors import UsageError

P = ParamSpec("P")
# Annotation and default by the name of the parameter.
Options = Mapping[str, tuple[Any, Any]]

_COMMON: Options = {
    "output": (
        Annotated[CommonFormat, typer.Option("-o", "--format", help="How to print the result.", show_choices=True)],
        CommonFormat.TEXT,
    ),
    "assume_yes": (Annotated[bool, typer.Option("-y", "--yes", help="Agree to what the plan asks about.")], False),
    "quiet": (Annotated[bool, typer.Option("-q", "--quiet", help="Print results and errors only.")], False),
    "verbose": (Annotated[bool, typer.Option("-v", "--verbose", help="Print details of every step.")], False),
    "progress": (
        Annotated[ProgressStyle, typer.Option("--progress", help="How to show progress on stderr.")],
        ProgressStyle.AUTO,
    ),
    "no_color": (Annotated[bool, typer.Option("--no-color", help="No colour, even on a terminal.")], False),
}

# Of commands that print objects which a repository could keep.
WITH_YAML: Options = {
    "output": (
        Annotated[Format, typer.Option("-o", "--format", help="How to print the result.", show_choices=True)],
        Format.TEXT,
    )
}

TargetName = Annotated[
    str | None,
    typer.Option("-t", "--target", metavar="TARGET", help="A target plugin, or a target named in dray.yaml."),
]
ProjectPath = Annotated[
    Path | None, typer.Option("-f", "--file", metavar="FILE", help="The project file; ./dray.yaml when it is there.")
]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a target's setting: key=value.")
]
Name = Annotated[str | None, typer.Option("-n", "--name", metavar="NAME", help="Name of the model and its deployment.")]
Timeout = Annotated[float, typer.Option("--timeout", metavar="S", min=1, help="Seconds that each long step may take.")]
AcceptUnverified = Annotated[
    bool, typer.Option("--accept-unverified", help="Deploy a package that nothing vouches for.")
]


def command(
    app: typer.Typer, group: Options | None = None, *, common: Options | None = None, **settings: Any
) -> Callable[[Callable[Concatenate[Console, P], None]], None]:
    """Register a function of (console, its own options) as a command that has the common options as well.

    Args:
        group: Further options, which the function gets together, by name, as its argument ``options``.
        common: In the places of the common options of the same names.
    """
    shared = {**_COMMON, **(common or {})}

    def register(function: Callable[Concatenate[Console, P], None]) -> None:
        @functools.wraps(function)
        def run(*args: Any, **given: Any) -> None:
            usual = {name: given.pop(name) for name in shared}
            rehearsal = bool(given.get("rehearse"))
            if group is not None:
                given["options"] = {name: given.pop(name) for name in group}
            function(_console(**usual, rehearsal=rehearsal), *args, **given)

        own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
        parameters = [
            *(
                parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
                for parameter in own
                if parameter.name != "options"
            ),
            *_parameters(group or {}),
            *_parameters(shared),
        ]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        app.command(**settings)(run)

    return register


def _parameters(options: Options) -> list[inspect.Parameter]:
    return [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        for name, (annotation, default) in options.items()
    ]


def _console(
    *,
    output: CommonFormat | Format,
    assume_yes: bool,
    quiet: bool,
    verbose: bool,
    progress: ProgressStyle,
    no_color: bool,
    rehearsal: bool,
) -> Console:
    if quiet and verbose:
        raise UsageError("-q and -v exclude each other")
    mark = REHEARSAL if rehearsal else ""
    if logging.lastResort is not None:  # which prints warnings where nothing else was set up
        logging.lastResort.setFormatter(logging.Formatter(f"{mark}%(message)s"))
    if verbose:
        logging.basicConfig(level=logging.DEBUG, format=f"{mark}          %(name)s: %(message)s")
        for chatty in ("filelock", "httpcore", "httpx", "asyncio"):
            logging.getLogger(chatty).setLevel(logging.WARNING)
    else:
        logging.getLogger("azure").setLevel(logging.ERROR)  # it warns of what its exceptions say as well
    verbosity = -1 if quiet else 1 if verbose else 0
    return Console(Format(str(output)), progress, verbosity, not no_color, assume_yes, rehearsal)
