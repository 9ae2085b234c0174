"""The names that a pickle may refer to, by framework; ``lists/*.txt`` hold them, one module a line."""

import sys
from collections.abc import Iterable
from functools import cache
from importlib import resources

from packager.convert.safety.values import Pair

# What pickles of every framework are made of.
_EVERYWHERE = ("python", "numpy", "scipy", "pandas", "joblib")
# Their own classes are on the lists; what is not on them is no class of a model.
_LIBRARIES = {"torch", "numpy", "joblib", "pandas", "scipy"}
KNOWN = ("sklearn", "xgboost", "lightgbm", "catboost")


def allowed(frameworks: Iterable[str], classes: Iterable[str] = ()) -> frozenset[Pair]:
    """The exact pairs for pickles of these frameworks; a name inside an allowed module is not allowed by that.

    Args:
        classes: Further ones, as the user named them: ``MODULE:NAME``. A name of Python's own library is left out: no
            model is of such a class, and ``os:system`` would be run.
    """
    named = (Pair(module, name) for module, _, name in (text.partition(":") for text in classes))
    own = frozenset(pair for pair in named if may_be_a_model(pair))
    return _union(tuple(sorted(set(frameworks)))) | own


def may_be_a_model(pair: Pair) -> bool:
    """Whether a name can be that of a user's class: one of the user's or an installed package's, not Python's own."""
    top = pair.module.partition(".")[0]
    return top not in sys.stdlib_module_names and top not in _LIBRARIES


@cache
def _union(frameworks: tuple[str, ...]) -> frozenset[Pair]:
    return frozenset().union(*(_read(name) for name in (*_EVERYWHERE, *frameworks)))


def _read(name: str) -> frozenset[Pair]:
    text = resources.files("packager.convert.safety").joinpath("lists", f"{name}.txt").read_text(encoding="utf-8")
    lines = (line.partition("#")[0] for line in text.splitlines())
    parts = (line.partition(":") for line in lines if line.strip())
    return frozenset(Pair(module.strip(), entry) for module, _, entries in parts for entry in entries.split())
