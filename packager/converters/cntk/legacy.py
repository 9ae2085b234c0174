"""``--env legacy``: CNTK itself answers the samples, in an environment of its own that a person has made."""

from pathlib import Path

from packager.core.conversion import ConversionRequest, RawConversion
from packager.core.environment import HandMadeEnvironment, LegacyProgram, legacy_home

REQUEST_NAME = "reference.json"
_FRAMEWORK = "cntk"
_SCRIPT = Path(__file__).with_name("reference_script.py")
_MPI = "mpi"


def program_of(request: ConversionRequest, raw: RawConversion) -> LegacyProgram:
    """What asks CNTK: the conversion has left beside its graph which input is which."""
    environment = HandMadeEnvironment(
        _FRAMEWORK, "Python 3.6 with CNTK 2.7", _commands(legacy_home(_FRAMEWORK)), (_MPI,)
    )
    return LegacyProgram(environment, _SCRIPT, (str(raw.onnx.with_name(REQUEST_NAME)), str(request.source)))


def _commands(home: Path) -> str:
    """What makes the environment, on Debian and Ubuntu."""
    library = "/usr/lib/x86_64-linux-gnu"
    return (
        f"make it: python3.6 -m venv {home} && {home}/bin/pip install cntk==2.7.post2 'numpy<1.20' 'scipy<1.6' && "
        f"apt-get install libopenmpi3 && mkdir -p {home}/{_MPI} && "
        f"ln -sf {library}/libmpi.so.40 {home}/{_MPI}/libmpi.so.12 && "
        f"ln -sf {library}/libmpi_cxx.so.40 {home}/{_MPI}/libmpi_cxx.so.1; or give CNTK's answers with --expected FILE"
    )
