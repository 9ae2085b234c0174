import json
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from packager.core.environment import EnvironmentSpec
from packager.core.errors import EnvironmentFailed
from packager.core.progress import SilentProgress
from packager.environments import Environment, environments_home, find, make
from packager.environments.cache import RECORD_NAME
from packager.environments.installers import PipInstaller
from tests.support.fake_uv import FakeUv, stub_environment

SPEC = EnvironmentSpec(
    name="sklearn-1.4.2",
    reason="'m.pkl' was saved by scikit-learn 1.4.2, and 1.9.1 is installed here",
    instead="--env current converts it with scikit-learn 1.9.1",
    requirements=("scikit-learn==1.4.2", "onnx>=1.18"),
    constraints=("numpy<2.2",),
    by_hand="convert it elsewhere",
    download_mib=110,
)
LATER = replace(SPEC, name="sklearn-1.4", requirements=("scikit-learn>=1.4.2,<1.5", "onnx>=1.18"))


class Heard(SilentProgress):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.details: list[str] = []

    def step(self, message: str) -> None:
        self.steps.append(message)

    def detail(self, message: str) -> None:
        self.details.append(message)


def made(spec: EnvironmentSpec = SPEC, *, progress: SilentProgress | None = None, timeout_s: float = 60) -> Environment:
    return make(spec, progress=progress or SilentProgress(), timeout_s=timeout_s)


def remains() -> list[str]:
    return [path.name for path in environments_home().iterdir() if path.name != ".locks"]


def test_an_environment_is_made_with_what_was_asked_for_and_says_so(uv: FakeUv) -> None:
    environment = made()

    record = json.loads((environments_home() / "sklearn-1.4.2" / RECORD_NAME).read_bytes())
    assert environment.python == environments_home() / "sklearn-1.4.2" / "bin" / "python"
    assert environment.versions == {"scikit-learn": "1.4.2", "onnx": "1.18"}
    assert record["installed"] == {"onnx": "1.18", "scikit-learn": "1.4.2"}
    assert (record["python"], record["made_with"]) == ("3.11.7", "uv 9.9.9")
    assert record["size_bytes"] > 0
    assert remains() == ["sklearn-1.4.2"]


def test_progress_names_what_is_installed(uv: FakeUv) -> None:
    progress = Heard()

    made(progress=progress)

    assert "installing scikit-learn 1.4.2, onnx 1.18 (about 110 MB)" in progress.steps
    assert "Downloading numpy (15.6MiB)" in progress.details


def test_only_wheels_are_installed_and_no_secret_is_passed_on(uv: FakeUv, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUD_SECRET", "s3cret")
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    monkeypatch.setenv("UV_INDEX_URL", "http://index.test/simple")

    made()

    resolved, installed = uv.calls("pip", "compile")[0], uv.calls("pip", "install")[0]
    for call in (resolved, installed):
        assert call["argv"][call["argv"].index("--only-binary") + 1] == ":all:"
        assert not {"CLOUD_SECRET", "PYTHONPATH"} & call["env"].keys()
        assert call["env"]["UV_INDEX_URL"] == "http://index.test/simple"
        assert call["env"]["UV_PYTHON_DOWNLOADS"] == "never"
        assert Path(call["cwd"]).parent == environments_home()


def test_one_that_is_there_is_used_again(uv: FakeUv) -> None:
    made()

    assert find(SPEC) is not None
    made()
    assert len(uv.calls("venv")) == 1


def test_an_index_that_cannot_be_reached_is_an_error_with_the_command(uv: FakeUv) -> None:
    uv.offline = True
    uv.write()

    with pytest.raises(EnvironmentFailed) as caught:
        made()

    assert caught.value.code == "E-ENV"
    assert "'sklearn-1.4.2' cannot be made: uv 9.9.9 could not ask the package index" in caught.value.message
    assert "Failed to fetch: http://index.test/simple/" in caught.value.message
    assert "pip install --python" in caught.value.hint
    assert "--only-binary :all: scikit-learn==1.4.2 'onnx>=1.18' 'numpy<2.2'" in caught.value.hint
    assert caught.value.detail["output"][0] == "error: Request failed after 3 retries"
    assert remains() == []


def test_a_failed_installation_leaves_nothing(uv: FakeUv) -> None:
    uv.install_error = "No space left on device"
    uv.write()

    with pytest.raises(EnvironmentFailed, match="No space left on device"):
        made()

    assert remains() == []


def test_an_interrupted_installation_leaves_nothing(uv: FakeUv) -> None:
    class Interrupted(Heard):
        def detail(self, message: str) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        made(progress=Interrupted())

    assert remains() == []


def test_an_installation_that_takes_too_long_is_ended(uv: FakeUv) -> None:
    uv.delay_s = 30
    uv.write()

    with pytest.raises(EnvironmentFailed, match="did not end within 1 s"):
        made(timeout_s=1)

    assert remains() == []


def test_without_wheels_for_any_python_here_the_hint_names_one_that_has_them(uv: FakeUv) -> None:
    uv.wheels_for = {"scikit-learn==1.4.2": ["3.11", "3.12"]}
    uv.write()

    with pytest.raises(EnvironmentFailed, match="no Python here has wheels for it") as caught:
        made()

    assert caught.value.hint == "it needs Python 3.11 or 3.12: uv python install 3.12; then run this again"


def test_without_wheels_for_any_python_at_all_the_hint_says_what_a_person_can_do(uv: FakeUv) -> None:
    uv.wheels_for = {"scikit-learn==1.4.2": []}
    uv.write()

    with pytest.raises(EnvironmentFailed) as caught:
        made()

    assert caught.value.hint == "convert it elsewhere"


def test_another_python_of_this_machine_is_used_where_this_one_has_no_wheels(uv: FakeUv) -> None:
    parts = {"major": 3, "minor": 99, "patch": 1}
    uv.pythons = [{"implementation": "cpython", "variant": "default", "path": "/pythons/3.99", "version_parts": parts}]
    uv.versions = {"/pythons/3.99": "3.14"}
    uv.wheels_for = {"scikit-learn==1.4.2": ["3.14", "3.99"]}
    uv.write()

    with pytest.raises(EnvironmentFailed):
        made()  # 3.99 is not a Python that has wheels

    uv.pythons[0]["version_parts"] = {**parts, "minor": 14}
    uv.write()
    made()
    assert uv.calls("venv")[0]["argv"][:4] == ["venv", "--no-project", "--python", "/pythons/3.99"]


def test_a_later_patch_will_do_where_the_version_itself_has_no_wheels(uv: FakeUv) -> None:
    uv.wheels_for = {"scikit-learn==1.4.2": []}
    uv.write()

    environment = made(replace(SPEC, otherwise=LATER))

    assert environment.name == "sklearn-1.4"


def test_two_at_once_make_it_once(uv: FakeUv) -> None:
    uv.delay_s = 0.5
    uv.write()
    found: list[Environment] = []
    threads = [threading.Thread(target=lambda: found.append(made())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)

    assert [environment.name for environment in found] == ["sklearn-1.4.2"] * 2
    assert len(uv.calls("venv")) == 1


def test_a_broken_one_is_made_again(uv: FakeUv) -> None:
    (environments_home() / "sklearn-1.4.2" / "bin").mkdir(parents=True)

    with pytest.raises(EnvironmentFailed, match="does not run"):
        find(SPEC)
    assert made().versions["scikit-learn"] == "1.4.2"


def test_one_of_another_version_is_not_used(uv: FakeUv) -> None:
    stub_environment(environments_home() / "sklearn-1.4.2", scikit_learn="1.9.1", onnx="1.20")

    with pytest.raises(EnvironmentFailed, match=r"lacks scikit-learn==1\.4\.2"):
        find(SPEC)


def test_what_a_killed_command_left_is_removed(uv: FakeUv) -> None:
    (environments_home() / ".sklearn-1.4.2.abc" / "env").mkdir(parents=True)

    made()

    assert remains() == ["sklearn-1.4.2"]


def test_without_uv_pip_is_asked_and_says_what_uv_could_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    spec = replace(SPEC, requirements=("a-distribution-that-is-not-there==1",))

    with pytest.raises(EnvironmentFailed) as caught:
        make(spec, progress=SilentProgress(), timeout_s=120, tool=PipInstaller())

    assert caught.value.hint.startswith("pip looks for this Python only")
    assert any("No matching distribution found" in line for line in caught.value.detail["output"])
    assert remains() == []
