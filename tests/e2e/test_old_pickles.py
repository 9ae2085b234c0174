import json
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.support.command import dray
from tests.support.frameworks import KEPT, share_environments
from tests.support.index import require_index

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
FIXTURES = Path(__file__).parent.parent / "fixtures"
MADE_WITH = {"sklearn-1.4": "1.4.2", "sklearn-1.2": "1.2.2"}


@pytest.fixture(autouse=True)
def environments(state_folder: Path) -> Path:
    """Each environment is made once and kept; the rest of the state is each test's own."""
    require_index()
    share_environments()
    return KEPT


@pytest.mark.parametrize("name", ["pipeline", "forest", "histgb"])
@pytest.mark.parametrize("folder", MADE_WITH)
def test_a_model_of_another_version_answers_as_that_version_did(folder: str, name: str, tmp_path: Path) -> None:
    model = FIXTURES / folder / f"{name}.joblib"

    run = dray("ship", model, "-t", "local", "--env", "auto", "-n", "old", "-o", "json", cwd=tmp_path)

    assert run.status == 0, run.out + run.err
    certificate = json.loads((Path(run.document["package"]) / "certificate.json").read_bytes())
    assert certificate["versions"]["scikit-learn"] == MADE_WITH[folder]
    assert certificate["notes"][0].startswith(f"converted in the environment sklearn-{MADE_WITH[folder]} (Python 3.")
    with np.load(FIXTURES / folder / f"{name}.npz") as expected:
        answers = asked(run.document["endpoint"], expected["X"])
        for output in set(expected.files) - {"X"}:
            np.testing.assert_allclose(answers[output], expected[output], rtol=1e-4, atol=1e-5)


def test_an_environment_made_before_is_named_and_used_without_a_question(tmp_path: Path, environments: Path) -> None:
    model = FIXTURES / "sklearn-1.4" / "pipeline.joblib"
    first = dray("package", model, "--yes", "-o", "json", cwd=tmp_path)
    named = dray("package", model, "--env", "sklearn-1.4.2", "-o", "json", cwd=tmp_path)
    by_path = dray("package", model, "--env", environments / "sklearn-1.4.2", "-o", "json", cwd=tmp_path)
    again = dray("package", model, "-o", "json", cwd=tmp_path, env={"UV_OFFLINE": "1"})

    assert [run.status for run in (first, named, by_path, again)] == [0, 0, 0, 0], first.err + named.err + again.err
    assert "using the environment sklearn-1.4.2" in again.err
    onnx = {(Path(run.document["package"]) / "model.onnx").read_bytes() for run in (first, named, by_path, again)}
    assert len(onnx) == 1


def asked(endpoint: str, rows: np.ndarray) -> dict[str, np.ndarray]:
    metadata = httpx.get(f"{endpoint}/v2/models/old", trust_env=False).raise_for_status().json()
    dtype = metadata["inputs"][0]["datatype"]
    tensor = {"name": "X", "shape": list(rows.shape), "datatype": dtype, "data": rows.ravel().tolist()}
    response = httpx.post(f"{endpoint}/v2/models/old/infer", json={"inputs": [tensor]}, trust_env=False)
    response.raise_for_status()
    return {out["name"]: np.reshape(out["data"], out["shape"]) for out in response.json()["outputs"]}
