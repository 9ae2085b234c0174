import json
import shutil
from pathlib import Path

import pytest

from packager.cli.console import Console
from packager.cli.model_options import agreement
from packager.core.environment import EnvironmentSpec
from packager.environments import environments_home
from tests.support.command import dray
from tests.support.fake_uv import stub_environment

MODEL = Path(__file__).parent.parent / "fixtures" / "sklearn-1.4" / "pipeline.joblib"
SPEC = EnvironmentSpec("sklearn-1.4.2", "it is old", "--env current", ("scikit-learn==1.4.2",))


@pytest.mark.parametrize("verb", ["package", "ship", "plan"])
def test_where_nobody_can_be_asked_the_command_that_makes_it_is_the_hint(verb: str, tmp_path: Path) -> None:
    model = Path(shutil.copy(MODEL, tmp_path / "old model.joblib"))

    run = dray(verb, model, "-o", "json", cwd=tmp_path)

    assert (run.status, run.document["error"]["code"]) == (2, "E-NOT-INSTALLED")
    assert f"dray {verb} '{model}' -o json --env auto" in run.document["error"]["hint"]
    assert [path.name for path in tmp_path.iterdir()] == [model.name]


def test_yes_agrees_to_an_environment() -> None:
    assert agreement(Console(assume_yes=True))(SPEC)


def test_doctor_lists_the_environments_with_the_cure_for_broken_ones() -> None:
    stub_environment(environments_home() / "sklearn-1.4.2")
    (environments_home() / "sklearn-1.3.0").mkdir()

    checks = json.loads(dray("doctor", "-o", "json").out)["environments"]

    assert [(check["name"], check["ok"]) for check in checks] == [
        ("environment sklearn-1.3.0", False),
        ("environment sklearn-1.4.2", True),
    ]
    assert "rm -r" in checks[0]["cure"]
    assert "Python 3.11.7" in checks[1]["found"]
