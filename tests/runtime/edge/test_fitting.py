"""What may take the place of what."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from runtime.contract.manifest import Signature, TensorSpec
from runtime.contract.package import read_package
from runtime.edge.fitting import check_fits, place_for, signature_changes
from runtime.edge.wanted import WantedPackage
from runtime.engine.repository import Slot
from runtime.errors import PackageOfOtherModel, PackageOlder
from tests.support.packages import make_package

X = TensorSpec(name="X", dtype="FP32", shape=("batch", 4))
Y = TensorSpec(name="Y", dtype="FP32", shape=("batch",))


def slot_of(folder: Path, name: str, version: str) -> Slot:
    make_package(folder / f"{name}-{version}", name=name, version=version)
    return Slot(folder, read_package(folder / f"{name}-{version}"))


@pytest.mark.parametrize(
    ("inputs", "told"),
    [
        ([X], []),
        ([X.model_copy(update={"shape": ("rows", 4)})], []),
        ([X.model_copy(update={"shape": ("batch", 5)})], ["input 'X' is FP32[-1, 5], not FP32[-1, 4]"]),
        ([X.model_copy(update={"dtype": "FP64"})], ["input 'X' is FP64[-1, 4], not FP32[-1, 4]"]),
        (
            [X.model_copy(update={"columns": ("a", "b", "c", "d")})],
            ["input 'X' is FP32[-1, 4] of columns a, b, c, d, not FP32[-1, 4]"],
        ),
        ([Y], ["input 'X' is gone", "input 'Y' is new"]),
    ],
)
def test_changes_of_a_signature_are_told_as_clients_see_them(inputs: Sequence[TensorSpec], told: list[str]) -> None:
    before, after = Signature(inputs=(X,), outputs=(Y,)), Signature(inputs=tuple(inputs), outputs=(Y,))
    assert signature_changes(before, after) == told


def test_a_package_takes_the_place_of_its_own_model(tmp_path: Path) -> None:
    slots = [slot_of(tmp_path, "a", "1"), slot_of(tmp_path, "b", "1")]
    fresh = slot_of(tmp_path, "b", "2").package
    assert fresh is not None
    assert place_for(fresh, slots) == 1
    with pytest.raises(PackageOfOtherModel, match="several versions of 'b' are served"):
        place_for(fresh, [*slots, slot_of(tmp_path, "b", "3")])
    with pytest.raises(PackageOfOtherModel, match="is of the model 'b'; served: 'a'"):
        place_for(fresh, slots[:1])


def test_numbers_in_versions_are_compared_as_numbers(tmp_path: Path) -> None:
    fresh, wanted = slot_of(tmp_path, "a", "1.9").package, WantedPackage(tmp_path, "sha256:" + "0" * 64)
    assert fresh is not None
    with pytest.raises(PackageOlder, match=r"has version '1\.9', and '1\.10' serves"):
        check_fits(fresh, slot_of(tmp_path, "a", "1.10"), wanted)
    check_fits(fresh, slot_of(tmp_path, "a", "1.8"), wanted)
