from pathlib import Path

import pytest

from packager.core.errors import UnverifiedPackage
from packager.pack import open_package
from runtime.contract.package import read_package
from tests.support.packages import make_package


def test_a_package_that_nothing_vouches_for_needs_a_word_from_the_user(tmp_path: Path) -> None:
    package = make_package(tmp_path / "p")
    unverified = package.certificate.model_copy(update={"reference": "none"}).sealed()
    (package.root / "certificate.json").write_bytes(unverified.to_bytes())

    with pytest.raises(UnverifiedPackage) as caught:
        open_package(package.root, accept_unverified=False)

    assert caught.value.code == "E-UNVERIFIED"
    assert "--accept-unverified" in caught.value.hint
    assert open_package(package.root, accept_unverified=True).digest == read_package(package.root).digest
