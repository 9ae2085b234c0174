"""The environment that an old, or newer, pickle needs: made with the scikit-learn that saved it."""

import shlex
from dataclasses import replace
from pathlib import Path

from packaging.version import InvalidVersion, Version

from packager.converters.pickle_version import recorded_version
from packager.converters.sklearn.recognition import is_skops
from packager.converters.sklearn.recognition import recorded_version as skops_recorded_version
from packager.core.environment import EnvironmentSpec
from packager.core.errors import ModelInvalid
from packager.core.extras import versions_of

_LONGEST_VERSION = 32
# The first that has wheels for Python 3.11, the oldest that dray runs on.
_OLDEST = Version("1.1.3")
# What converting needs beside scikit-learn, and what dray's own code in the child imports.
_NEEDED = (
    "joblib>=1.4",
    "onnx>=1.18",
    "onnxruntime>=1.20",
    "pandas>=1.5",
    "protobuf>=6.31.1,<7",
    "pydantic>=2.11",
    "skl2onnx>=1.19",
)
_SAME_AS_HERE = ("onnx", "onnxruntime", "protobuf", "pydantic", "skl2onnx")
# By the first minor version of scikit-learn that they are too old for: what came out after the releases before it.
# Its own metadata set no upper bound before 1.3, and none that keeps removed names of NumPy, SciPy and pandas away.
_BOUNDS: tuple[tuple[tuple[int, int], tuple[str, ...]], ...] = (
    ((1, 2), ("numpy<1.26", "scipy<1.11", "pandas<2.1")),
    ((1, 3), ("numpy<2", "scipy<1.12", "pandas<2.2")),
    ((1, 4), ("numpy<2", "scipy<1.13", "pandas<2.3")),
    ((1, 5), ("numpy<2.2", "scipy<1.14", "pandas<2.3")),
    ((1, 6), ("numpy<2.3", "scipy<1.15", "pandas<2.3")),
    ((1, 7), ("numpy<2.3", "scipy<1.16", "pandas<3")),
    ((1, 8), ("numpy<2.4", "scipy<1.17", "pandas<3")),
)
_DOWNLOAD_MIB = 130
_DISK_MIB = 390
_PYARROW_MIB = (50, 150)


def environment_for(path: Path, samples: Path | None) -> EnvironmentSpec | None:
    """The environment with the version that saved the file; None where the minor version is the one installed here.

    Raises:
        ModelInvalid: What the file says is no version.
    """
    by_skops = is_skops(path)
    text = skops_recorded_version(path) if by_skops else recorded_version(path)
    if text is None:
        return None
    version = _parsed(text, path)
    here = versions_of("scikit-learn").get("scikit-learn")
    if here is not None and Version(here).release[:2] == version.release[:2]:
        return None
    parquet = samples is not None and samples.suffix.lower() == ".parquet"
    instead = f"--env current converts it with scikit-learn {here}" if here else 'pip install "dray[sklearn]"'
    exact = EnvironmentSpec(
        name=f"sklearn-{version}",
        reason=f"{path.name!r} was saved by scikit-learn {version}, and {here or 'none'} is installed here",
        instead=instead,
        requirements=(
            f"scikit-learn=={version}",
            *_NEEDED,
            *(("pyarrow>=14",) if parquet else ()),
            *(("skops>=0.9",) if by_skops else ()),
        ),
        constraints=_constraints(version),
        by_hand=_too_old(path, version) if version < _OLDEST else f"there are no wheels of that version; {instead}",
        download_mib=_DOWNLOAD_MIB + parquet * _PYARROW_MIB[0],
        disk_mib=_DISK_MIB + parquet * _PYARROW_MIB[1],
    )
    return replace(exact, otherwise=_later_patch(exact, version))


def _later_patch(exact: EnvironmentSpec, version: Version) -> EnvironmentSpec:
    """Any later release of the same minor version: the first have no wheels for Pythons that came after them."""
    major, minor = (*version.release, 0)[:2]
    wanted = f"scikit-learn>={version},<{major}.{minor + 1}"
    return replace(exact, name=f"sklearn-{major}.{minor}", requirements=(wanted, *exact.requirements[1:]))


def _parsed(text: str, path: Path) -> Version:
    """The version without its local part, which no index has."""
    try:
        if len(text) > _LONGEST_VERSION:
            raise InvalidVersion(text)
        return Version(Version(text).public)
    except InvalidVersion as error:
        raise ModelInvalid(
            f"{path.name!r} says that it was saved by scikit-learn {text[:80]!r}, which is not a version",
            hint="the file was changed since it was saved; get it anew from where it was trained",
        ) from error


def _constraints(version: Version) -> tuple[str, ...]:
    """What its time had, and the converter that this installation has been tested with."""
    bounds = next((bounds for before, bounds in _BOUNDS if version.release[:2] < before), ())
    same = tuple(f"{name}=={here}" for name, here in versions_of(*_SAME_AS_HERE).items())
    return (*bounds, *same)


def _too_old(path: Path, version: Version) -> str:
    """A command that converts with a scikit-learn that only runs on a Python older than dray's."""
    python = "3.10" if version >= Version("1.0.2") else "3.9" if version >= Version("0.24") else "3.8"
    code = (
        "import sys, joblib, skl2onnx; from skl2onnx.common.data_types import FloatTensorType as F;"
        " m = joblib.load(sys.argv[1]); n = m.n_features_in_;"
        " z = {'zipmap': False} if hasattr(m, 'classes_') else None;"
        " o = skl2onnx.to_onnx(m, initial_types=[('X', F([None, n]))], options=z);"
        " open(sys.argv[2], 'wb').write(o.SerializeToString())"
    )
    wanted = [f"scikit-learn=={version}", "numpy<1.24", "scipy<1.11", "skl2onnx", "onnx<1.16", "protobuf<5", "joblib"]
    with_them = [part for text in wanted for part in ("--with", text)]
    argv = ["uv", "run", "--no-project", "--python", python, *with_them, "python", "-c", code]
    command = shlex.join([*argv, str(path), str(path.with_suffix(".onnx"))])
    return (
        f"{_OLDEST} is the oldest that a Python of dray's (3.11 or newer) has wheels of; load and convert it by hand,"
        f" if you trust the file, and ship the .onnx file: {command}"
    )
