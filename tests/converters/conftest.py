from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from packager.convert.judgement import Checks
from packager.convert.verification import Verified, verify
from packager.converters.sklearn import SklearnConverter
from packager.core.conversion import ConversionRequest, RawConversion
from packager.core.progress import SilentProgress
from tests.support.models import saved

Convert = Callable[..., RawConversion]


@pytest.fixture
def convert(tmp_path: Path) -> Convert:
    """Converts an object, or the file at a path, in this process."""

    def run(model: Any, samples: Path | None = None, **options: Any) -> RawConversion:
        work = tmp_path / f"work{len(list(tmp_path.iterdir()))}"
        work.mkdir()
        source = model if isinstance(model, Path) else saved(model, work)
        request = ConversionRequest(source=source, workdir=work, samples=samples, **options)
        return SklearnConverter().convert(request, SilentProgress())

    return run


@pytest.fixture
def proven() -> Callable[[RawConversion], Verified]:
    """The verification with the default tolerances."""
    return lambda raw: verify(raw, Checks(atol=1e-5, rtol=1e-4, seed=1))
