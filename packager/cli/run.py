"""From arguments to an exit status: every failure ends as one line, or one document, and its family's number."""

import traceback
from collections.abc import Sequence

from typer.exceptions import Abort, TyperException

from packager.cli.console import Console, Format
from packager.core.errors import FAMILIES, DrayError, InterruptedByUser, UsageError

INTERRUPTED = 130
# In the order of the families: usage, conversion, package, image, deployment, gate.
_EXIT_STATUS = (2, 3, 3, 4, 5, 6)


def run(arguments: Sequence[str]) -> int:
    """Exit status of ``dray`` with these arguments; see spec section 1 for the numbers."""
    from packager.cli.app import app

    console = Console(format=_wanted_format(arguments), rehearsal="--rehearse" in arguments)
    try:
        status = app(args=list(arguments), standalone_mode=False, prog_name="dray")
    except DrayError as error:
        console.error(error)
        return exit_status(error)
    except TyperException as error:
        console.error(
            UsageError(_sentence(error.format_message()), hint="`dray --help` and `dray COMMAND --help` explain")
        )
        return 2
    except (KeyboardInterrupt, Abort):
        status = INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the outermost border: a bug must still end as one document
        traceback.print_exc()
        console.error(
            DrayError(f"{type(error).__name__}: {error}", hint="this is a bug in dray; please report the traceback")
        )
        return 1
    if status == INTERRUPTED:  # what typer makes of Ctrl-C
        console.error(InterruptedByUser("interrupted; nothing was left half-done"))
    return int(status or 0)


def exit_status(error: DrayError) -> int:
    """Number of the error's family; 1 for none of them."""
    if isinstance(error, InterruptedByUser):
        return INTERRUPTED
    families = zip(FAMILIES, _EXIT_STATUS, strict=True)
    return next((number for family, number in families if isinstance(error, family)), 1)


def _wanted_format(arguments: Sequence[str]) -> Format:
    """The format before anything is parsed, so that a usage error is printed in it too."""
    joined = " ".join(arguments)
    return (
        Format.JSON
        if any(form in joined for form in ("-o json", "-ojson", "--format json", "--format=json"))
        else Format.TEXT
    )


def _sentence(text: str) -> str:
    """A foreign message in the house's style: lower case first, no full stop."""
    return text[:1].lower() + text[1:].rstrip(".")
