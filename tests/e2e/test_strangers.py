import os
import pickle
from pathlib import Path

import joblib
import pytest

from tests.support.command import dray

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


class Touches:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("command", ["package", "plan", "ship", "inspect", "deploy"])
@pytest.mark.parametrize("compress", [0, ("gzip", 3), ("xz", 3)])
def test_a_malicious_model_runs_in_no_command(command: str, compress: object, tmp_path: Path) -> None:
    joblib.dump(Touches(tmp_path / "ran"), tmp_path / "evil.joblib", compress=compress)

    run = dray(command, tmp_path / "evil.joblib", "-o", "json", cwd=tmp_path)

    assert run.status in {2, 3}
    assert not (tmp_path / "ran").exists()
    if command in {"package", "plan", "ship"}:
        error = run.document["error"]
        assert error["code"] == "E-UNSAFE"
        assert "posix.system" in error["message"]
        assert "--trust" in error["hint"]


def test_trust_is_recorded(tmp_path: Path) -> None:
    custom = Path(__file__).parent.parent / "fixtures" / "sklearn" / "custom_transformer"
    shared = ["--plugin", custom / "plugin.py", "-o", "json"]

    refused = dray("package", custom / "model.joblib", *shared, cwd=tmp_path)
    trusted = dray("package", custom / "model.joblib", "--trust", *shared, cwd=tmp_path)

    assert refused.document["error"]["code"] == "E-UNSAFE"
    assert trusted.status == 0, trusted.out
    certificate = dray("inspect", trusted.document["package"], "-o", "json").document["certificate"]
    assert certificate["trusted"] == ["sk_custom.LogClip"]


def test_an_old_protocol_is_no_way_around(tmp_path: Path) -> None:
    (tmp_path / "evil.pkl").write_bytes(pickle.dumps(Touches(tmp_path / "ran"), protocol=0))

    assert dray("package", tmp_path / "evil.pkl", cwd=tmp_path).status == 3
    assert not (tmp_path / "ran").exists()
