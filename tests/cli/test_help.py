import os
from pathlib import Path

import pytest

from packager.cli.run import run

GOLDEN = Path(__file__).parent.parent / "golden" / "help"
COMMANDS = [
    "", "package", "inspect", "serve", "image", "plan", "deploy", "ship", "test", "invoke", "status", "logs",
    "rollback", "delete", "targets", "doctor",
]  # fmt: skip
GROUPS = ["edge", "edge send", "edge watch"]


@pytest.mark.parametrize("command", [*COMMANDS, *GROUPS])
def test_help_reads_as_it_was_agreed(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TERMINAL_WIDTH", "100")
    path = GOLDEN / f"{command.replace(' ', '-') or 'dray'}.txt"

    status = run([*command.split(), "--help"])
    printed = capsys.readouterr().out
    if os.environ.get("DRAY_UPDATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(printed)

    assert status == 0
    assert printed == path.read_text(), "run `make golden` and read the difference"


def test_every_command_of_the_reference_is_there() -> None:
    from packager.cli.app import app

    assert {command.name for command in app.registered_commands} == set(COMMANDS) - {""}
