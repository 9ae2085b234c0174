import json
import logging
import sys

import pytest

from runtime.telemetry import JsonLines, configure_logging


def record(message: str, **more: object) -> logging.LogRecord:
    made = logging.LogRecord("runtime.x", logging.INFO, "file", 1, message, (), None)
    vars(made).update(more)
    return made


def test_record_is_one_json_line_with_its_fields() -> None:
    line = JsonLines().format(record("two\nlines \ud800", fields={"status": 200}))
    assert "\n" not in line
    parsed = json.loads(line)
    assert (parsed["level"], parsed["message"], parsed["status"]) == ("info", "two\nlines \ud800", 200)
    assert parsed["time"].endswith("Z")


def test_exception_is_kept_in_the_line() -> None:
    try:
        raise ValueError("why")
    except ValueError:
        line = JsonLines().format(record("failed", exc_info=sys.exc_info()))
    assert "ValueError: why" in json.loads(line)["exception"]
    assert "\n" not in line


@pytest.fixture
def untouched_loggers() -> object:
    loggers = [logging.getLogger(name) for name in ("runtime", "uvicorn", "uvicorn.error")]
    before = [(each, each.handlers[:], each.propagate, each.level) for each in loggers]
    # Servers of other tests in this process leave a level of their own there.
    logging.getLogger("uvicorn.error").setLevel(logging.NOTSET)
    yield
    for each, handlers, propagate, level in before:
        each.handlers[:], each.propagate = handlers, propagate
        each.setLevel(level)


@pytest.mark.usefixtures("untouched_loggers")
def test_level_holds_for_the_runtime_and_uvicorn(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("warning")
    logging.getLogger("runtime.x").info("quiet")
    logging.getLogger("uvicorn.error").warning("loud")
    assert [json.loads(line)["message"] for line in capsys.readouterr().err.splitlines()] == ["loud"]
