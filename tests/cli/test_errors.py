import importlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from packager.cli import main
from packager.cli.run import exit_status, run
from packager.core import errors
from runtime.contract.errors import DrayError

ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "docs"
SOURCES = [path for top in ("packager", "targets") for path in (ROOT / top).rglob("*.py")]


def family(kind: type[DrayError]) -> Iterator[type[DrayError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from family(below)


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (errors.UsageError, 2),
        (errors.ConfigurationError, 2),
        (errors.EnvironmentMissing, 2),
        (errors.ParityError, 3),
        (errors.PackageDamaged, 3),
        (errors.DiskFull, 3),
        (errors.ImageReferenceInvalid, 4),
        (errors.PortInUse, 5),
        (errors.DeploymentBusy, 5),
        (errors.SmokeTestFailed, 6),
        (errors.InterruptedByUser, 130),
        (DrayError, 1),
    ],
)
def test_the_exit_status_is_that_of_the_family(kind: type[DrayError], status: int) -> None:
    assert exit_status(kind("what happened")) == status


def test_every_code_is_documented() -> None:
    for module in ("packager.cli.app", "packager.pack", "runtime.app", "runtime.settings"):
        importlib.import_module(module)  # a class exists once its module is imported
    page = (DOCS / "errors.md").read_text()
    documented, rows = (
        set(re.findall(r"`(E-[A-Z-]+)`", text))
        for text in (page, "\n".join(line for line in page.splitlines() if line.startswith("|")))
    )
    existing = {
        kind.code for kind in family(DrayError) if kind.__module__.split(".")[0] in {"packager", "runtime", "targets"}
    }

    assert existing - documented == set()
    assert rows - existing == set()
    remarks = {code for path in SOURCES for code in re.findall(r'\bFinding\(\s*"(E-[A-Z-]+)"', path.read_text())}
    assert remarks - documented == set()


def test_every_reason_has_a_docstring_of_one_sentence_or_more() -> None:
    assert [kind.__name__ for kind in family(DrayError) if not kind.__doc__] == []


@pytest.mark.parametrize("arguments", [["frobnicate"], ["ship", "--frobnicate"], ["deploy"], ["inspect"]])
def test_a_usage_error_is_exit_2_with_a_hint_on_stderr(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    status = run(arguments)
    printed = capsys.readouterr()

    assert status == 2
    assert printed.out == ""
    assert printed.err.startswith("error E-USAGE: ")
    assert "hint: " in printed.err


@pytest.mark.parametrize(
    "arguments", [["frobnicate", "-o", "json"], ["inspect", "/nowhere", "-o", "json"], ["ship", "-o", "json"]]
)
def test_with_json_an_error_is_one_document_on_stdout(
    arguments: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    status = run(arguments)
    document = json.loads(capsys.readouterr().out)

    assert status in {2, 3}
    assert set(document["error"]) == {"code", "message", "hint", "detail"}
    assert document["error"]["code"].startswith("E-")
    assert document["error"]["hint"]


def test_an_interrupt_is_exit_130(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("packager.pack.open_package", interrupted)

    assert run(["inspect", "somewhere"]) == 130
    assert "E-INTERRUPTED" in capsys.readouterr().err


def test_an_interrupt_while_the_command_is_loaded_is_exit_130_without_a_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("packager.core.interrupts.listen", interrupted)

    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 130
    assert capsys.readouterr().err == "error E-INTERRUPTED: interrupted; nothing was begun\n"


def test_a_bug_is_exit_1_with_a_traceback_and_still_one_document(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("packager.pack.open_package", broken)

    status = run(["inspect", "somewhere", "-o", "json"])
    printed = capsys.readouterr()

    assert status == 1
    assert json.loads(printed.out)["error"]["code"] == "E-UNEXPECTED"
    assert "Traceback" in printed.err


def test_quiet_and_verbose_exclude_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["targets", "-q", "-v"]) == 2
    assert "-q and -v" in capsys.readouterr().err
