"""What a model that runs code of its own cannot do while it is converted; Linux keeps all of it."""

import os
import socket
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier

from packager.convert import confinement
from packager.convert.isolation import converting
from packager.core.conversion import ConversionRequest
from packager.core.errors import SampleError
from packager.core.progress import SilentProgress
from tests.support.converters import Prisoner, is_sleeping

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux alone closes a process off without privileges")
if sys.platform == "linux" and not all(part.holds for part in confinement.protections()):
    lacking = "; ".join(part.how for part in confinement.protections() if not part.holds)
    pytestmark = pytest.mark.skipif(not os.environ.get("DRAY_REQUIRE_ALL"), reason=lacking)


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("PYTHONPATH", ".")


def outcome(folder: Path, order: str) -> str:
    """What the prisoner says came of it."""
    source = folder / "model.txt"
    source.write_text(order)
    (folder / "secret.txt").write_text("the key")
    work = folder / "work"
    work.mkdir()
    with (
        converting(Prisoner(), ConversionRequest(source=source, workdir=work), timeout_s=60) as child,
        pytest.raises(SampleError) as caught,
    ):
        child.result(SilentProgress())
    return caught.value.message


def test_no_connection_leaves_it_not_even_to_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("PATH", f"{os.environ['PATH']}:port-{server.getsockname()[1]}")

        assert outcome(tmp_path, "connect") == "PermissionError"


@pytest.mark.parametrize(
    "order", ["connect_local", "read_beside", "write_beside", "overwrite_model", "read_parent", "signal_parent"]
)
def test_what_is_not_its_own_is_denied(order: str, tmp_path: Path) -> None:
    assert outcome(tmp_path, order) == "PermissionError"
    assert (tmp_path / "model.txt").read_text() == order
    assert not (tmp_path / "left.txt").exists()


def test_no_process_that_it_leaves_behind_outlives_it(tmp_path: Path) -> None:
    left = [int(pid) for pid in outcome(tmp_path, "stay_behind").split(",")]

    assert left
    deadline = time.monotonic() + 10
    while any(is_sleeping(Path(f"/proc/{pid}")) for pid in left):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_its_children_cannot_leave_its_group(tmp_path: Path) -> None:
    source = tmp_path / "model.txt"
    source.write_text("start_new_group")
    (tmp_path / "work").mkdir()
    request = ConversionRequest(source=source, workdir=tmp_path / "work")

    with converting(Prisoner(), request, timeout_s=60) as child, pytest.raises(Exception, match="status 1"):
        child.result(SilentProgress())

    assert "PermissionError" in (tmp_path / "work" / "output.txt").read_text()


def test_what_holds_is_said_in_one_line() -> None:
    assert confinement.described().startswith("loaded in a closed-off process: no network (seccomp), no files of yours")


def test_a_model_that_uses_threads_and_processes_is_converted(tmp_path: Path) -> None:
    import joblib

    from packager.convert import convert
    from packager.core.conversion import ModelSource

    rows = np.random.default_rng(0).random((60, 3))
    model = RandomForestClassifier(5, n_jobs=2, random_state=0).fit(rows, rows[:, 0] > 0.5)
    joblib.dump(model, tmp_path / "m.joblib")
    (tmp_path / "work").mkdir()

    result = convert(ModelSource(tmp_path / "m.joblib"), workdir=tmp_path / "work")

    assert result.parity is not None
    assert result.parity.conversion.passed
