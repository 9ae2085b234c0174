"""The command line's commands, in the order in which a model meets them."""

import typer

from packager.cli import commands_deploy, commands_image, commands_machine, commands_manage, commands_model, edge

app = typer.Typer(
    name="dray",
    help="From a trained model to a verified endpoint, in one command.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: bool = typer.Option(False, "--version", help="Print dray's version and exit.", is_eager=True),
) -> None:
    """From a trained model to a verified endpoint, in one command."""
    if version:
        from importlib.metadata import version as installed  # kept out of start-up

        typer.echo(f"dray {installed('dray')}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit


commands_model.register(app)
commands_image.register(app)
commands_deploy.register(app)
commands_manage.register(app)
commands_machine.register(app)
edge.register(app)
