"""The stack, the memo and the containers of a pickle, on stand-ins for objects."""

from collections.abc import Sequence
from typing import Any

from packager.convert.safety import calls
from packager.convert.safety.findings import Findings, Unreadable
from packager.convert.safety.values import LIST, OPAQUE, SET, Made, Name, Pair, Restricted, Role, Table

_KEPT_BYTES = 64
_MOST_VALUES = 1 << 24
OBJECT = Pair("builtins", "object")
MADE_BARE = (Role.WRAPPER, Role.DISTRIBUTION)


class Stack:
    """What opcodes push, pop and put into one another; what may not be put anywhere goes to ``findings``."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._stack: list[Any] = []
        self._below: list[list[Any]] = []
        self._memo: dict[int, Any] = {}
        self._position = 0

    # Literals

    def _literal(self, value: Any) -> None:
        self._stack.append(value)
        if len(self._stack) > _MOST_VALUES:
            raise self._unreadable(f"it holds more than {_MOST_VALUES} objects at once")

    def _bytes(self, value: bytes) -> None:
        self._literal(value if len(value) <= _KEPT_BYTES else OPAQUE)

    def _opaque(self, _: object) -> None:
        self._literal(OPAQUE)

    def _none(self, _: object) -> None:
        self._literal(None)

    def _true(self, _: object) -> None:
        self._literal(True)

    def _false(self, _: object) -> None:
        self._literal(False)

    # Containers

    def _empty_list(self, _: object) -> None:
        self._literal(LIST)

    def _empty_set(self, _: object) -> None:
        self._literal(SET)

    def _empty_table(self, _: object) -> None:
        self._literal(Table())

    def _empty_tuple(self, _: object) -> None:
        self._literal(())

    def _tuple(self, _: object) -> None:
        self._push_tuple(tuple(self._pop_mark()))

    def _tuple1(self, _: object) -> None:
        self._push_tuple((self._stack.pop(),))

    def _tuple2(self, _: object) -> None:
        last = self._stack.pop()
        self._push_tuple((self._stack.pop(), last))

    def _tuple3(self, _: object) -> None:
        last, middle = self._stack.pop(), self._stack.pop()
        self._push_tuple((self._stack.pop(), middle, last))

    def _push_tuple(self, items: tuple[Any, ...]) -> None:
        if not (len(items) == 3 and isinstance(items[0], Restricted) and _reconstructor_args(items)):
            self._embed(items)
        self._stack.append(items)

    def _list(self, _: object) -> None:
        self._embed(self._pop_mark())
        self._stack.append(LIST)

    def _set(self, _: object) -> None:
        self._embed(self._pop_mark())
        self._stack.append(SET)

    def _table(self, _: object) -> None:
        items, table = self._pop_mark(), Table()
        self._put(table, items)
        self._stack.append(table)

    def _append(self, _: object) -> None:
        self._extend((self._stack.pop(),), LIST, calls.LIST_LIKE)

    def _appends(self, _: object) -> None:
        self._extend(self._pop_mark(), LIST, calls.LIST_LIKE)

    def _add_items(self, _: object) -> None:
        self._extend(self._pop_mark(), SET, frozenset())

    def _extend(self, items: Sequence[Any], kind: object, classes: frozenset[Pair]) -> None:
        self._embed(items)
        owner = self._stack[-1]
        if owner is not kind and not self._is_a(owner, classes):
            self._refuse(f"{described(owner)}.extend")

    def _set_item(self, _: object) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        self._put(self._stack[-1], (key, value))

    def _set_items(self, _: object) -> None:
        items = self._pop_mark()
        self._put(self._stack[-1], items)

    def _put(self, owner: object, items: Sequence[Any]) -> None:
        if len(items) % 2:
            raise self._unreadable("a key without a value")
        if type(owner) is Table:
            for index in range(0, len(items), 2):
                key, value = items[index], items[index + 1]
                if type(value) is Restricted and not (key == "subclass" and value.role is Role.ARRAY_TYPE):
                    self._embed((value,))
                owner.put(key, value)
            self._embed(items[::2])
            return
        self._embed(items)
        if not self._is_a(owner, calls.DICT_LIKE):
            self._refuse(f"{described(owner)}.__setitem__")

    def _embed(self, items: Sequence[Any]) -> None:
        """Items become part of something else, where nothing is known of their later use."""
        for item in items:
            if type(item) is Restricted:
                self._refuse(str(item.pair))

    def _is_a(self, owner: object, classes: frozenset[Pair]) -> bool:
        return type(owner) is Made and (owner.pair in classes or self._findings.is_foreign(owner.pair))

    # The stack and the memo

    def _mark(self, _: object) -> None:
        self._below.append(self._stack)
        self._stack = []
        if len(self._below) > _MOST_VALUES:
            raise self._unreadable(f"it holds more than {_MOST_VALUES} marks at once")

    def _pop_mark(self) -> list[Any]:
        items = self._stack
        self._stack = self._below.pop()
        return items

    def _pop(self, _: object) -> None:
        if self._stack:
            self._stack.pop()
        else:
            self._pop_mark()

    def _pop_to_mark(self, _: object) -> None:
        self._pop_mark()

    def _duplicate(self, _: object) -> None:
        self._literal(self._stack[-1])

    def _get(self, index: int) -> None:
        self._literal(self._memo[int(index)])

    def _memo_put(self, index: int) -> None:
        self._memo[int(index)] = self._stack[-1]
        if len(self._memo) > _MOST_VALUES:
            raise self._unreadable(f"it remembers more than {_MOST_VALUES} objects")

    def _memoize(self, _: object) -> None:
        self._memo_put(len(self._memo))

    # What is found

    def _refuse(self, what: str) -> None:
        self._findings.refuse(what, self._position)

    def _unreadable(self, what: str) -> Unreadable:
        return Unreadable(what, self._position)


def described(owner: object) -> str:
    """An object as a finding names it."""
    if isinstance(owner, Made | Name):
        return str(owner.pair)
    return "an object of a plain type"


def _reconstructor_args(items: tuple[Any, ...]) -> bool:
    """The arguments by which numpy's array types and, in protocols 0 and 1, joblib's wrapper are made."""
    kind, second, _ = items
    if kind.role is Role.ARRAY_TYPE:
        return bool(second == (0,))
    return kind.role in MADE_BARE and isinstance(second, Name) and second.pair == OBJECT
