"""One package in the place of another, at the start and while it serves."""

from pathlib import Path

import pytest

from runtime.engine.repository import Repository
from runtime.engine.session import SessionSettings
from runtime.errors import SelfTestFailed
from tests.support.packages import make_package


def repository(tmp_path: Path, preferred: Path) -> Repository:
    made = Repository((make_package(tmp_path / "own").root,), lambda: SessionSettings(threads=1))
    made.prefer(0, preferred)
    made.load()
    return made


def test_a_preferred_package_serves_in_the_place_of_the_own_one(tmp_path: Path) -> None:
    found = repository(tmp_path, make_package(tmp_path / "better", version="2").root)
    assert found.find("iris").manifest.version == "2"
    assert found.slots[0].setback is None


@pytest.mark.parametrize(("spoilt", "code"), [(True, "E-PACKAGE-DIGEST"), (False, "E-SELF-TEST")])
def test_a_preferred_package_that_cannot_serve_gives_way(tmp_path: Path, spoilt: bool, code: str) -> None:
    better = make_package(tmp_path / "better", version="2", wrong_answers=not spoilt)
    if spoilt:
        better.model_path.write_bytes(b"another")
    found = repository(tmp_path, better.root)
    assert (found.state, found.find("iris").manifest.version) == ("ready", "1")
    assert found.slots[0].setback is not None
    assert found.slots[0].setback.code == code


def test_where_neither_can_serve_the_own_ones_reason_is_told(tmp_path: Path) -> None:
    own = make_package(tmp_path / "own", wrong_answers=True).root
    made = Repository((own,), lambda: SessionSettings(threads=1))
    made.prefer(0, tmp_path / "absent")
    made.load()
    assert made.state == "failed"
    assert made.slots[0].error is not None
    assert made.slots[0].error.code == "E-SELF-TEST"


def test_what_is_exchanged_while_it_runs_ends_as_it_began(tmp_path: Path) -> None:
    made = repository(tmp_path, make_package(tmp_path / "better", version="2").root)
    before = made.find("iris")
    made.exchange(0, made.prepare(tmp_path / "own"))
    assert made.find("iris").manifest.version == "1"
    assert before.manifest.version == "2"
    with pytest.raises(SelfTestFailed):
        made.prepare(make_package(tmp_path / "wrong", wrong_answers=True).root)
    assert made.find("iris").manifest.version == "1"
