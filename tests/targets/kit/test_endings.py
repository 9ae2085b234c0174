"""Why a release does not serve: code, message and hint, the same words for every target."""

import pytest

from packager.core.errors import DrayError
from packager.core.http_client import ServerState
from targets.kit import endings

LOG = ["one", "ImportError: two"]
DETAIL = {"log": LOG}


@pytest.mark.parametrize(
    ("error", "code", "message", "hint"),
    [
        (endings.out_of_memory("1.5 GB", "memory_gb", DETAIL), "E-OOM", "than its 1.5 GB of memory", "memory_gb=N"),
        (endings.out_of_memory(None, "memory_gb", DETAIL), "E-OOM", "the machine has no memory left", "memory_gb=N"),
        (endings.wrong_processor("Azure", "linux/amd64", DETAIL), "E-IMAGE-ARCH", "than Azure's", "linux/amd64"),
        (
            endings.ended("with exit status 1", LOG, DETAIL), "E-CONTAINER-CRASH",
            "ended with exit status 1 before it was ready: ImportError: two", "last lines of its log",
        ),
        (endings.ended("", [], {"log": []}), "E-CONTAINER-CRASH", "ended before it was ready, and logged", "its log"),
        (endings.late("within 5 s", LOG), "E-NOT-READY", "was not ready within 5 s", "--timeout"),
        (
            endings.never_ready(ServerState(state="failed", error_code="E-LOAD", message="no"), LOG), "E-NOT-READY",
            "will not become ready (E-LOAD): no", "its log",
        ),
    ],
)  # fmt: skip
def test_a_cause_has_a_code_a_sentence_and_a_cure(error: DrayError, code: str, message: str, hint: str) -> None:
    assert error.code == code
    assert message in error.message
    assert hint in error.hint
    assert "log" in error.detail


def test_a_format_error_is_known_wherever_it_stands() -> None:
    assert endings.says_format_error("exec /usr/bin/python3: Exec format error")
    assert not endings.says_format_error("exec /usr/bin/python3: no such file")
