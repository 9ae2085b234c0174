import bz2
import gzip
import lzma
import pickle
import zlib
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import sklearn
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from packager.converters.pickle_version import recorded_version

FIXTURES = Path(__file__).parent.parent / "fixtures"


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    rng = np.random.default_rng(0)
    features = rng.random((3000, 60))
    model = make_pipeline(StandardScaler(), KNeighborsClassifier())
    return model.fit(features, features[:, 0] > 0.5)


@pytest.mark.parametrize("compress", [0, 1, ("zlib", 9), ("gzip", 3), ("bz2", 3), ("lzma", 1), ("xz", 1)])
def test_the_version_is_read_from_every_form_of_joblib(tmp_path: Path, pipeline: Pipeline, compress: Any) -> None:
    joblib.dump(pipeline, tmp_path / "m.joblib", compress=compress)

    assert recorded_version(tmp_path / "m.joblib") == sklearn.__version__


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_the_version_is_read_from_every_protocol(tmp_path: Path, pipeline: Pipeline, protocol: int) -> None:
    (tmp_path / "m.pkl").write_bytes(pickle.dumps(pipeline, protocol=protocol))

    assert recorded_version(tmp_path / "m.pkl") == sklearn.__version__


@pytest.mark.parametrize(("version", "folder"), [("1.4.2", "sklearn-1.4"), ("1.2.2", "sklearn-1.2")])
@pytest.mark.parametrize("name", ["pipeline", "forest", "histgb"])
def test_the_version_of_files_of_another_version_is_read(version: str, folder: str, name: str) -> None:
    assert recorded_version(FIXTURES / folder / f"{name}.joblib") == version


@pytest.mark.parametrize("text", ["1.4; rm -rf /", "file:///etc/passwd", "", "x" * 300, "1.4\n2"])
def test_what_stands_there_comes_out_as_it_is(tmp_path: Path, text: str) -> None:
    (tmp_path / "m.pkl").write_bytes(pickle.dumps({"_sklearn_version": text}))

    assert recorded_version(tmp_path / "m.pkl") == text


@pytest.mark.parametrize("shift", range(-540, 20, 7))
def test_the_version_is_found_wherever_blocks_end(tmp_path: Path, shift: int) -> None:
    path = tmp_path / "m.pkl"
    path.write_bytes(pickle.dumps({"a": b"x" * ((1 << 20) + shift), "_sklearn_version": "1.4.2", "z": b"y" * 2000}))

    assert recorded_version(path) == "1.4.2"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a pickle",
        pickle.dumps({"a": 1}),
        pickle.dumps(b"_sklearn_version 1.4.2"),
        pickle.dumps({"_sklearn_version": 14}),
        pickle.dumps({"_sklearn_version": "1.4.2"})[:-9],
        gzip.compress(b"nothing", mtime=0),
        gzip.compress(pickle.dumps({"_sklearn_version": "1.4.2"}), mtime=0)[:-20],
        b"\x1f\x8b\x08\x00broken",
        b"\xfd7zXZ\x00broken",
        b"BZhbroken",
        b"\x5d\x00\x00\xff\xff\xff\xff\xff",
    ],
)
def test_a_file_that_names_none_gives_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m.pkl").write_bytes(content)

    assert recorded_version(tmp_path / "m.pkl") is None


@pytest.mark.parametrize("compress", [gzip.compress, zlib.compress, bz2.compress, lzma.compress])
def test_a_file_in_several_members_is_read_on(tmp_path: Path, compress: Any) -> None:
    content = pickle.dumps({"_sklearn_version": "1.4.2"})
    joined = compress(content) if compress is zlib.compress else compress(content[:5]) + compress(content[5:])
    (tmp_path / "m.pkl").write_bytes(joined)

    assert recorded_version(tmp_path / "m.pkl") == "1.4.2"


def test_a_bomb_is_not_unpacked_beyond_the_limit(tmp_path: Path) -> None:
    content = bytes(20 << 20) + pickle.dumps({"_sklearn_version": "1.4.2"})
    (tmp_path / "m.pkl").write_bytes(zlib.compress(content))

    assert recorded_version(tmp_path / "m.pkl", limit=10 << 20) is None
    assert recorded_version(tmp_path / "m.pkl") == "1.4.2"


def test_nothing_is_loaded(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "sprung",))

    joblib.dump([Trap(), LogisticRegression()], tmp_path / "m.joblib", compress=3)

    assert recorded_version(tmp_path / "m.joblib") == sklearn.__version__
    assert not (tmp_path / "sprung").exists()
