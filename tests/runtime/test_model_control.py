import json
import shutil
from pathlib import Path

import httpx
import pytest

from runtime.routes.serving import Serving
from tests.runtime.test_app import ask, assert_error, served
from tests.support.packages import logistic_model, make_package
from tests.support.servers import infer_body, running_server

BODY = infer_body([[5.1, 3.5, 1.4, 0.2]])
LOAD, UNLOAD, INFER = "/v2/repository/models/iris/load", "/v2/repository/models/iris/unload", "/v2/models/iris/infer"


@pytest.fixture
def iris(tmp_path: Path) -> Serving:
    return served(make_package(tmp_path / "iris").root, model_control=True)


def replaced(folder: Path, *, seed: int = 7, wrong_answers: bool = False) -> None:
    """Another package in the folder's place."""
    shutil.rmtree(folder)
    make_package(folder, logistic_model(seed=seed), version="2", wrong_answers=wrong_answers)


@pytest.mark.parametrize("path", [LOAD, UNLOAD])
def test_it_is_off_unless_switched_on(path: str, tmp_path: Path) -> None:
    serving = served(make_package(tmp_path / "iris").root)
    assert "DRAY_MODEL_CONTROL" in assert_error(ask(serving, "POST", path), 403, "E-CONTROL")["detail"]["hint"]
    assert ask(serving, "POST", INFER, json=BODY).status_code == 200


def test_an_unloaded_model_says_so_and_comes_back(iris: Serving) -> None:
    assert ask(iris, "POST", UNLOAD).status_code == 200

    assert "was unloaded" in assert_error(ask(iris, "POST", INFER, json=BODY), 503, "E-NOT-READY")["message"]
    assert ask(iris, "POST", "/v2/repository/index").json()[0]["state"] == "UNAVAILABLE"
    assert ask(iris, "POST", LOAD).status_code == 200
    assert ask(iris, "POST", INFER, json=BODY).status_code == 200


def test_a_new_package_in_the_folder_takes_over(iris: Serving) -> None:
    before = ask(iris, "POST", INFER, json=BODY).json()
    replaced(iris.settings.packages[0])

    assert ask(iris, "POST", LOAD).status_code == 200

    after = ask(iris, "POST", INFER, json=BODY).json()
    assert (before["model_version"], after["model_version"]) == ("1", "2")
    assert before["outputs"] != after["outputs"]


@pytest.mark.parametrize("damage", ["wrong answers", "no package"])
def test_a_bad_package_leaves_the_old_one_serving(iris: Serving, damage: str) -> None:
    folder = iris.settings.packages[0]
    if damage == "wrong answers":
        replaced(folder, wrong_answers=True)
    else:
        (folder / "manifest.json").unlink()

    response = ask(iris, "POST", LOAD)

    assert response.status_code == 503
    assert response.json()["error_code"] in {"E-SELF-TEST", "E-PACKAGE-MISSING", "E-PACKAGE-INVALID"}
    assert ask(iris, "POST", INFER, json=BODY).json()["model_version"] == "1"


@pytest.mark.parametrize("path", [LOAD, UNLOAD])
def test_an_unknown_model_is_404(iris: Serving, path: str) -> None:
    assert_error(ask(iris, "POST", path.replace("iris", "rose")), 404, "E-NO-MODEL")


def test_the_fast_path_follows(tmp_path: Path) -> None:
    package = make_package(tmp_path / "iris").root
    with running_server(package, log=tmp_path / "log", DRAY_MODEL_CONTROL="1") as server, httpx.Client() as client:

        def infer() -> httpx.Response:
            return client.post(f"{server.url}{INFER}", json=BODY)

        assert infer().json()["model_version"] == "1"
        replaced(package)
        client.post(f"{server.url}{LOAD}").raise_for_status()
        assert infer().json()["model_version"] == "2"
        client.post(f"{server.url}{UNLOAD}").raise_for_status()
        assert json.loads(infer().text)["error_code"] == "E-NOT-READY"
