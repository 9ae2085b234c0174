import io
import sys

import pytest

from packager.cli.console import Console, PlainProgress, ProgressStyle
from packager.core.errors import ProcessCrash


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_table_is_aligned_and_has_no_trailing_spaces() -> None:
    table = Console().table(("NAME", "STATE"), [("churn", "running"), ("x", "-")])

    assert table.splitlines() == ["NAME    STATE", "churn   running", "x       -"]


def test_plain_progress_prints_elapsed_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    with Console(progress_style=ProgressStyle.PLAIN).progress() as progress:
        progress.step("converting")
        progress.detail("hidden")

    printed = capsys.readouterr()
    assert printed.out == ""
    assert "s  converting" in printed.err
    assert "hidden" not in printed.err


def test_details_show_when_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    PlainProgress(0.0, details=True).advance(1, 2)

    assert "1 of 2" in capsys.readouterr().err


@pytest.mark.parametrize("console", [Console(progress_style=ProgressStyle.QUIET), Console(verbosity=-1)])
def test_quiet_progress_prints_nothing(console: Console, capsys: pytest.CaptureFixture[str]) -> None:
    with console.progress() as progress:
        progress.step("converting")

    assert capsys.readouterr() == ("", "")


def test_a_terminal_gets_stages_with_the_time_each_took(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)

    with Console(progress_style=ProgressStyle.TTY).progress() as progress:
        progress.step("converting [a]")
        progress.step("verifying")

    assert "s  converting [a]" in terminal.getvalue()


@pytest.mark.parametrize(
    ("hint", "printed"),
    [
        ("`dray logs iris` shows its log", "`dray logs iris --rehearse` shows its log"),
        ("`dray logs iris --rehearse` shows it", "`dray logs iris --rehearse` shows it"),
        ("`dray package m.onnx` makes one", "`dray package m.onnx` makes one"),
    ],
)
def test_commands_that_a_rehearsal_hints_at_are_of_the_rehearsal(
    hint: str, printed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from packager.core.errors import UsageError

    Console(rehearsal=True).error(UsageError("wrong\nin two lines", hint=hint))

    assert capsys.readouterr().err.splitlines() == [
        "rehearsal: error E-USAGE: wrong", "rehearsal: in two lines", f"rehearsal:   hint: {printed}",
    ]  # fmt: skip


@pytest.mark.parametrize(("color", "no_color", "styled"), [(True, "", True), (False, "", False), (True, "1", False)])
def test_colour_is_for_terminals_that_want_it(
    color: bool, no_color: str, styled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from packager.core.errors import UsageError

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("NO_COLOR", no_color)

    Console(color=color).error(UsageError("no", hint="yes"))

    assert ("\x1b[" in terminal.getvalue()) is styled


def test_nobody_can_be_asked_without_a_terminal() -> None:
    assert Console().ask("Go on?") is None


@pytest.mark.parametrize(("typed", "answer"), [("y\n", True), ("Yes\n", True), ("\n", False), ("", False)])
def test_only_yes_is_yes(typed: str, answer: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(typed))
    monkeypatch.setattr(sys, "stderr", Terminal())

    assert Console().ask("Go on?") is answer


def test_an_error_shows_what_was_left_and_the_last_lines_of_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    error = ProcessCrash(
        "it ended", detail={"log": [f"line {number}" for number in range(30)], "events": ["Started: x"]}
    )
    error.add_note("the candidate could not be removed: later")

    Console(color=False, rehearsal=True).error(error)
    lines = capsys.readouterr().err.splitlines()

    assert lines[:3] == [
        "rehearsal: error E-CONTAINER-CRASH: it ended",
        "rehearsal:   left: the candidate could not be removed: later",
        "rehearsal:   event: Started: x",
    ]
    assert [line.rpartition(" ")[2] for line in lines[3:]] == [str(number) for number in range(20, 30)]
