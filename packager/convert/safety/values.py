"""What stands for an object while a pickle is read without being loaded."""

from enum import Enum
from typing import Final, NamedTuple


class Pair(NamedTuple):
    """A module and a name in it, as a pickle refers to things."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


class Role(Enum):
    """What a name may be used for.

    ``TOOL``: called only, with arguments that are checked, and never handed to anything else. ``ARRAY_TYPE``: the
    class of an array only. ``WRAPPER``: stands for an array of joblib's, whose bytes follow. ``DISTRIBUTION``: executes
    text of its state. The last two are made without arguments only, so that what is made of them is known.
    """

    PLAIN = "plain"
    TOOL = "tool"
    ARRAY_TYPE = "array type"
    WRAPPER = "wrapper"
    DISTRIBUTION = "distribution"
    FOREIGN = "foreign"


class Name:
    """Something that was imported by name."""

    __slots__ = ("pair",)
    role = Role.PLAIN

    def __init__(self, pair: Pair) -> None:
        self.pair = pair


class Foreign(Name):
    """A name that is on no list."""

    __slots__ = ()
    role = Role.FOREIGN


class Restricted(Name):
    """A name that may not be used freely."""

    __slots__ = ("role",)

    def __init__(self, pair: Pair, role: Role) -> None:
        super().__init__(pair)
        self.role = role


class Made:
    """What a call would return. ``args`` and ``state`` are kept where something depends on them."""

    __slots__ = ("args", "built", "pair", "state")

    def __init__(self, pair: Pair | None, args: tuple[object, ...] = ()) -> None:
        self.pair = pair
        self.args = args
        self.state: object = None
        self.built = False


class Table:
    """A dict.

    Attributes:
        computed: Not every key is a literal string.
        alarming: As the state of an object, it would change how the object is restored, or of which class it is.
    """

    __slots__ = ("alarming", "computed", "kept")

    def __init__(self) -> None:
        self.kept: dict[str, object] | None = None
        self.computed = False
        self.alarming = False

    def put(self, key: object, value: object) -> None:
        """Set an item; only the values that matter are kept."""
        if type(key) is not str:
            self.computed = True
        elif key in KEPT_KEYS:
            if self.kept is None:
                self.kept = {}
            self.kept[key] = value
        elif key in _ALARMING_KEYS:
            self.alarming = True

    def get(self, key: str) -> object:
        """The value of one of ``KEPT_KEYS``, or ABSENT."""
        return ABSENT if self.kept is None else self.kept.get(key, ABSENT)


class Marker(Enum):
    """Objects of which nothing but the kind matters."""

    LIST = "list"
    SET = "set"
    OPAQUE = "number or bytes"
    ABSENT = "nothing"


LIST: Final = Marker.LIST
SET: Final = Marker.SET
OPAQUE: Final = Marker.OPAQUE
ABSENT: Final = Marker.ABSENT

ARRAY_KEYS = ("subclass", "shape", "order", "dtype", "numpy_array_alignment_bytes")
TEMPLATE_KEY = "_parse_arg_template"
_ALARMING_KEYS = frozenset({"__class__", "__dict__", "__setstate__", "__reduce__", "__reduce_ex__"})
KEPT_KEYS = frozenset((*ARRAY_KEYS, TEMPLATE_KEY))
