"""The names that Keras files and SavedModels may use; ``lists/*.txt`` hold them (tools/list_tensorflow_names.py)."""

from functools import cache
from importlib import resources

_PACKAGE = "packager.converters.tensorflow"


@cache
def keras_names() -> frozenset[str]:
    """Classes and functions of Keras that hold no code of others, by bare name.

    Keras itself looks a name of a ``keras.`` module up in its own packages only, whatever the module's exact place was
    in the version that wrote the file.
    """
    parts = (line.partition(":")[2].split() for line in _lines("keras.txt"))
    return frozenset(name for names in parts for name in names)


@cache
def operations() -> frozenset[str]:
    """Operations of TensorFlow that touch nothing outside the graph."""
    return frozenset(_lines("operations.txt"))


def _lines(name: str) -> list[str]:
    text = resources.files(_PACKAGE).joinpath("lists", name).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]
