from pathlib import Path

import pytest

from packager.converters.framework_environment import framework_environment
from packager.core.conversion import ModelSource
from packager.core.environment import EnvironmentSpec
from packager.core.errors import UsageError

MODEL = Path("/models/net.pt2")


def needed(*requirements: str, packages: tuple[str, ...] = (), samples: Path | None = None) -> EnvironmentSpec | None:
    source = ModelSource(MODEL, packages=packages)
    return framework_environment("torch", requirements, source, samples, download_mib=200, disk_mib=900)


def test_what_is_installed_needs_no_environment() -> None:
    assert needed("numpy>=1", "onnx") is None


def test_an_absent_framework_is_named_with_the_file_that_needs_it() -> None:
    spec = needed("numpy>=1", "absent-framework>=2")

    assert spec is not None
    assert spec.name == "torch"
    assert spec.reason == "converting 'net.pt2' needs absent-framework, not installed here"
    assert {"absent-framework>=2", "numpy>=1", "pydantic>=2.11"} <= set(spec.requirements)
    assert any(text.startswith("onnxruntime==") for text in spec.constraints)


def test_packages_of_the_models_own_code_make_an_environment_of_their_own() -> None:
    spec = needed("numpy", packages=("Absent-Timm>=1.0",))

    assert spec is not None
    assert spec.name == "torch-absent.timm.1.0"
    assert "Absent-Timm>=1.0" in spec.requirements


def test_the_reader_of_the_samples_comes_along(tmp_path: Path) -> None:
    spec = needed("absent-framework", samples=tmp_path / "rows.parquet")

    assert spec is not None
    assert any(text.startswith("pyarrow") for text in spec.requirements)


@pytest.mark.parametrize("text", ["--index-url=x", "timm @ https://elsewhere.test/timm.whl", "../timm", ""])
def test_only_names_of_the_package_index_are_installed(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        needed("absent-framework", packages=(text,))

    assert caught.value.hint
