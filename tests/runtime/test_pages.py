import re
from pathlib import Path

import pytest

from runtime.routes.serving import Serving
from tests.runtime.test_app import ask, assert_error, served
from tests.support.packages import make_package

HTML = {"accept": "text/html,application/xhtml+xml"}
PAGES = {"/": HTML, "/docs": {}}


@pytest.fixture(scope="module")
def iris(tmp_path_factory: pytest.TempPathFactory) -> Serving:
    return served(make_package(tmp_path_factory.mktemp("pages") / "iris").root)


def test_a_browser_gets_a_page_and_a_probe_gets_a_word(iris: Serving) -> None:
    page, probe = ask(iris, "GET", "/", headers=HTML), ask(iris, "GET", "/")

    assert page.headers["content-type"].startswith("text/html")
    assert (probe.text, probe.headers["vary"], page.headers["vary"]) == ("Healthy", "accept", "accept")


@pytest.mark.parametrize("path", PAGES)
def test_everything_that_a_page_loads_comes_from_this_server(iris: Serving, path: str) -> None:
    page = ask(iris, "GET", path, headers=PAGES[path])

    assert "default-src 'none'" in page.headers["content-security-policy"]
    named = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert not [each for each in named if "//" in each]
    for each in named:
        assert ask(iris, "GET", f"/{each.removeprefix('./')}").status_code == 200, each


@pytest.mark.parametrize("name", ["try.html", "../app.py", "..%2fapp.py", "absent.js", "x" * 300])
def test_no_other_file_is_served(iris: Serving, name: str) -> None:
    assert_error(ask(iris, "GET", f"/pages/{name}"), 404, "E-NO-ROUTE")


def test_pages_are_open_and_what_they_ask_is_not(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("secret\n")
    serving = served(make_package(tmp_path / "iris").root, api_keys_file=tmp_path / "keys")

    assert ask(serving, "GET", "/", headers=HTML).status_code == 200
    assert ask(serving, "GET", "/docs").status_code == 200
    assert ask(serving, "GET", "/pages/try.js").status_code == 200
    assert_error(ask(serving, "GET", "/openapi.json"), 401, "E-UNAUTHORISED")
    assert_error(ask(serving, "POST", "/score", json={}), 401, "E-UNAUTHORISED")


def test_the_paths_that_the_scripts_ask_are_served(iris: Serving) -> None:
    scripts = ask(iris, "GET", "/pages/try.js").text + ask(iris, "GET", "/pages/docs.js").text

    for path in ("v1/models", "v2/models/", "openapi.json"):
        assert path in scripts
    assert ask(iris, "GET", "/v1/models").json()["models"] == ["iris"]
