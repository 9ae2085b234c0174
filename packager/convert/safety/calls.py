"""Callables that are harmless with certain arguments only."""

import re
from collections.abc import Callable, Mapping

from packager.convert.safety.values import TEMPLATE_KEY, Made, Name, Pair, Role, Table

Args = tuple[object, ...]

WRAPPER = Pair("joblib.numpy_pickle", "NumpyArrayWrapper")
# Objects whose __setstate__ takes pairs that are no (state, slots).
# Source: numpy.random.BitGenerator, pandas' NDArrayBacked.
PAIR_STATES = frozenset({Pair("pandas._libs.arrays", "__pyx_unpickle_NDArrayBacked")}) | frozenset(
    {Pair("numpy.random._pickle", name) for name in ("__bit_generator_ctor", "__generator_ctor", "__randomstate_ctor")}
)
LIST_LIKE = frozenset({Pair("collections", "deque"), Pair("pandas.core.indexes.frozen", "FrozenList")})
DICT_LIKE = frozenset(
    {Pair("collections", "OrderedDict"), Pair("collections", "defaultdict"), Pair("collections", "Counter")}
    | {Pair("sklearn.utils", "Bunch"), Pair("sklearn.utils._bunch", "Bunch"), Pair("sklearn.utils._encode", "_nandict")}
    | {Pair("sklearn.covariance._graph_lasso", "_DictWithDeprecatedKeys")}
)

# Their constructors read files; pickles make them without arguments.
_WITHOUT_ARGUMENTS = frozenset({"xgboost", "lightgbm", "catboost"})
_BIT_GENERATORS = frozenset({"MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64"})
_BIT_GENERATOR = Pair("numpy.random._pickle", "__bit_generator_ctor")
_TYPES = frozenset(Pair("builtins", name) for name in ("object", "dict", "list", "tuple", "set", "float", "int", "str"))
_STRING_METHODS = frozenset({"lower", "upper", "strip", "lstrip", "rstrip", "casefold", "title", "split", "splitlines"})
# scipy's distributions execute this text when they are loaded, so it must be the one that scipy itself writes.
_SHAPES = r"(?:[A-Za-z_]\w*, )*"
_TEMPLATE = re.compile(
    rf"""
def _parse_args\(self, (?P<shapes>{_SHAPES}) (?P<into>loc=0(?:, scale=1)?)\):
    return \((?P=shapes)\), (?P<out>loc, (?:scale|1))

def _parse_args_rvs\(self, (?P=shapes) (?P=into), size=None\):
    return self\._argcheck_rvs\((?P=shapes) (?P=out), size=size\)

def _parse_args_stats\(self, (?P=shapes) (?P=into), moments='mv'\):
    return \((?P=shapes)\), (?P=out), moments
""",
    re.ASCII,
)


def role(pair: Pair) -> Role:
    """What an allowed name may be used for."""
    if pair in _TOOLS and pair != _BIT_GENERATOR:
        return Role.TOOL
    if pair == WRAPPER:
        return Role.WRAPPER
    if is_distribution(pair):
        return Role.DISTRIBUTION
    return Role.ARRAY_TYPE if pair.name == "memmap" else Role.PLAIN


def harmless(pair: Pair, args: Args) -> bool:
    """Whether an allowed name may be called with these arguments."""
    if pair.module.partition(".")[0] in _WITHOUT_ARGUMENTS:
        return not args
    return pair not in _TOOLS or _TOOLS[pair](args)


def is_distribution(pair: Pair | None) -> bool:
    """Whether objects of this class execute text of their state."""
    return pair is not None and pair.module.startswith("scipy.stats.") and not pair.name.endswith("_frozen")


def distribution_state_harmless(state: object) -> bool:
    """Whether a distribution of scipy's may be given this state."""
    if not isinstance(state, Table) or state.computed:
        return False
    template = state.get(TEMPLATE_KEY)
    return isinstance(template, str) and _TEMPLATE.fullmatch(template) is not None


def _encodes_latin1(args: Args) -> bool:
    """How protocols 0 to 2 write bytes."""
    return len(args) == 2 and isinstance(args[0], str) and args[1] in ("latin1", "latin-1")


def _gets_harmless(args: Args) -> bool:
    """A method of strings (``preprocessor=str.lower``), or what frozen distributions of scipy's hold."""
    if len(args) != 2:
        return False
    owner, attribute = args
    if isinstance(owner, Name):
        return owner.pair == Pair("builtins", "str") and isinstance(attribute, str) and attribute in _STRING_METHODS
    return isinstance(owner, Made) and is_distribution(owner.pair) and attribute == "_entropy"


def _reconstructs(args: Args) -> bool:
    """How protocols 0 and 1 write objects: class, the built-in type below it, that type's value."""
    return len(args) == 3 and isinstance(args[0], Name) and isinstance(args[1], Name) and args[1].pair in _TYPES


def _makes_generator(args: Args) -> bool:
    """A bit generator, or its name or class, and the function that makes one."""
    first = isinstance(args[0], Made) or _makes_bit_generator(args[:1]) if args else True
    return first and len(args) <= 2 and all(isinstance(arg, Name) and arg.pair == _BIT_GENERATOR for arg in args[1:])


def _makes_bit_generator(args: Args) -> bool:
    """The name or class of a bit generator; any other class would be called too."""
    if len(args) != 1:
        return not args
    return isinstance(args[0], str) or (
        isinstance(args[0], Name)
        and args[0].pair.module.startswith("numpy.random.")
        and args[0].pair.name in _BIT_GENERATORS
    )


_TOOLS: Mapping[Pair, Callable[[Args], bool]] = {
    Pair("_codecs", "encode"): _encodes_latin1,
    Pair("builtins", "getattr"): _gets_harmless,
    Pair("copyreg", "_reconstructor"): _reconstructs,
    _BIT_GENERATOR: _makes_bit_generator,
    Pair("numpy.random._pickle", "__generator_ctor"): _makes_generator,
    Pair("numpy.random._pickle", "__randomstate_ctor"): _makes_generator,
}
