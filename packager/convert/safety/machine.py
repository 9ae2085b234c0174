"""A pickle read without being loaded: the stack machine of ``pickle``, on stand-ins for objects.

It follows the pure Python unpickler, which joblib loads with, opcode by opcode; where two unpicklers could see
different things in the same bytes, it refuses. Nothing is imported and nothing is called.
"""

import _compat_pickle
import pickletools
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, BinaryIO

from packager.convert.safety import arrays, calls
from packager.convert.safety.findings import Findings, Unreadable
from packager.convert.safety.values import (
    LIST,
    OPAQUE,
    SET,
    Foreign,
    Made,
    Name,
    Pair,
    Restricted,
    Role,
    Table,
)  # fmt: skip

_KEPT_BYTES = 64
_MOST_VALUES = 1 << 24
_HIGHEST_PROTOCOL = 5
_OBJECT = Pair("builtins", "object")
_RECONSTRUCTOR = Pair("copyreg", "_reconstructor")
_UNKNOWN = Pair("?", "?")
_MADE_BARE = (Role.WRAPPER, Role.DISTRIBUTION)


class Machine:
    """Reads one pickle from ``stream``; what it would import and call goes to ``findings``.

    Args:
        arrays: Whether bytes of arrays stand between the opcodes, as joblib writes them.
        storages: Whether persistent ids stand for the storages of tensors, as torch.save writes them.
    """

    def __init__(
        self, stream: BinaryIO, size: int, findings: Findings, *, arrays: bool = True, storages: bool = False
    ) -> None:
        self._stream = stream
        self._size = size
        self._findings = findings
        self._arrays = arrays
        self._storages = storages
        self._stack: list[Any] = []
        self._below: list[list[Any]] = []
        self._memo: dict[int, Any] = {}
        self._protocol = 0
        self._frame_end = -1
        self._position = 0
        self._handlers = _bound(self)

    def run(self) -> None:
        """Read up to STOP.

        Raises:
            Unreadable: No unpickler would get to the end, or not every unpickler would see the same.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes in strings of protocol 0
            try:
                self._run()
            except (IndexError, KeyError, ValueError, OverflowError) as error:
                what = str(error) if isinstance(error, ValueError) else "an opcode takes what is not there"
                raise self._unreadable(what) from error

    def _run(self) -> None:
        handlers, findings = self._handlers, self._findings
        for opcode, argument, position in pickletools.genops(self._stream):
            self._position = position  # type: ignore[assignment]  # None only for streams that cannot tell
            if self._frame_end >= 0:
                self._check_frame(self._position)
            findings.count_opcode()
            handlers[opcode.code](argument)
        if self._frame_end > self._stream.tell():
            raise self._unreadable("its last frame goes on after its end")
        if self._below or len(self._stack) != 1:
            raise self._unreadable(f"{len(self._stack)} objects are left at its end")
        self._embed(self._stack)

    def _check_frame(self, position: int) -> None:
        if position > self._frame_end:
            raise self._unreadable("an opcode crosses the end of its frame")
        if position == self._frame_end:
            self._frame_end = -1

    def _unreadable(self, what: str) -> Unreadable:
        return Unreadable(what, self._position)

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
            self._refuse(f"{_described(owner)}.extend")

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
            self._refuse(f"{_described(owner)}.__setitem__")

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

    def _set_protocol(self, number: int) -> None:
        if number > _HIGHEST_PROTOCOL:
            raise self._unreadable(f"pickle protocol {number} is not known")
        self._protocol = number

    def _frame(self, length: int) -> None:
        start = self._stream.tell()
        if self._frame_end > start or start + length > self._size:
            raise self._unreadable("a frame that does not fit")
        self._frame_end = start + length

    def _stop(self, _: object) -> None:
        """The end is looked at in ``_run``."""

    # Names

    def _global(self, _: object) -> None:
        self._stack.append(self._named(*self._two_lines("utf-8")))

    def _stack_global(self, _: object) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        if type(name) is str and type(module) is str:
            self._stack.append(self._named(module, name))
            return
        self._refuse("an import by a name that is computed")
        self._stack.append(Foreign(_UNKNOWN))

    def _two_lines(self, encoding: str) -> tuple[str, str]:
        """Module and name as the unpickler reads them; genops unescapes them, which the unpickler does not."""
        self._stream.seek(self._position + 1)
        module, name = self._stream.readline(), self._stream.readline()
        return module[:-1].decode(encoding), name[:-1].decode(encoding)

    def _named(self, module: str, name: str) -> Name:
        if self._protocol < 3:
            if (module, name) in _compat_pickle.NAME_MAPPING:
                module, name = _compat_pickle.NAME_MAPPING[module, name]
            elif module in _compat_pickle.IMPORT_MAPPING:
                module = _compat_pickle.IMPORT_MAPPING[module]
        pair = Pair(module, name)
        if not self._findings.see(pair, self._position):
            return Foreign(pair)
        role = calls.role(pair)
        return Name(pair) if role is Role.PLAIN else Restricted(pair, role)

    def _persistent_id(self, argument: object) -> None:
        """A storage, named by its kind and its type; or, before PyTorch 1.6, a class with the text of its source."""
        identity = self._stack.pop() if self._storages else None
        kind, name = identity[:2] if type(identity) is tuple and len(identity) >= 2 else (None, None)
        if kind not in {"storage", "module"} or not isinstance(name, Name) or type(name) is Restricted:
            self._refused(argument)
        self._stack.append(name if kind == "module" else Made(None))

    def _refused(self, argument: object) -> None:
        what = "it refers to objects outside the file (persistent ids, extensions or buffers)"
        raise Unreadable(what, self._position, unsafe=True)

    # Calls

    def _reduce(self, _: object) -> None:
        args, function = self._stack.pop(), self._stack.pop()
        self._stack.append(self._called(function, args))

    def _new_object(self, _: object) -> None:
        args, kind = self._stack.pop(), self._stack.pop()
        self._stack.append(self._created(kind, args))

    def _new_object_ex(self, _: object) -> None:
        named, args, kind = self._stack.pop(), self._stack.pop(), self._stack.pop()
        if type(named) is not Table:
            self._refuse(f"{_described(kind)} (with arguments that are computed)")
        self._stack.append(self._called(kind, args))

    def _object(self, _: object) -> None:
        items = self._pop_mark()
        kind = items.pop(0)
        self._stack.append(self._called(kind, tuple(items)))

    def _instance(self, _: object) -> None:
        kind = self._named(*self._two_lines("ascii"))
        self._stack.append(self._called(kind, tuple(self._pop_mark())))

    def _created(self, kind: object, args: object) -> Made:
        if isinstance(kind, Restricted) and kind.role in _MADE_BARE and args == ():
            return Made(kind.pair)
        return self._called(kind, args)

    def _called(self, function: object, args: object) -> Made:
        if not isinstance(function, Name):
            self._refuse("a call of something that is computed")
            return Made(None)
        pair = function.pair
        if type(args) is not tuple:
            self._refuse(f"{pair} (with arguments that are computed)")
            return Made(pair)
        if function.role is Role.FOREIGN:
            self._findings.call(pair, self._position)
        elif function.role not in (Role.PLAIN, Role.TOOL) or not calls.harmless(pair, args):
            self._refuse(_with_arguments(pair, args))
        elif pair == _RECONSTRUCTOR:
            return self._reconstructed(args[0])
        if pair.name != "_reconstruct":
            self._embed(args)
        return Made(pair, args if pair == arrays.DTYPE else ())

    def _reconstructed(self, kind: Name) -> Made:
        if kind.role is Role.FOREIGN:
            self._findings.call(kind.pair, self._position)
        return Made(kind.pair)

    def _build(self, _: object) -> None:
        state, owner = self._stack.pop(), self._stack[-1]
        if type(owner) is not Made:
            self._refuse(f"{_described(owner)}.__setstate__")
            return
        if self._findings.is_foreign(owner.pair):
            return
        if owner.pair == calls.WRAPPER:
            self._skip_array(owner, state)
            return
        self._check_state(owner, state)
        if owner.pair == arrays.DTYPE:
            if owner.built:
                raise Unreadable("a numpy type that changes", self._position, unsafe=True)
            owner.state = state
        owner.built = True

    def _check_state(self, owner: Made, state: object) -> None:
        if calls.is_distribution(owner.pair):
            if not calls.distribution_state_harmless(state):
                self._refuse(f"{owner.pair}.__setstate__ (which executes text)")
        elif type(state) is tuple and len(state) == 2 and owner.pair not in calls.PAIR_STATES:
            # What has no __setstate__ of its own takes such a pair as attributes and slots, which are set one by one.
            if not all(part is None or _is_plain(part) for part in state):
                self._refuse(f"{_described(owner)}.__setattr__ (with names that are computed)")
        elif isinstance(state, Made | Name) or (type(state) is Table and not _is_plain(state)):
            self._refuse(f"{_described(owner)}.__setstate__ (with a state that is computed)")

    def _skip_array(self, wrapper: Made, state: object) -> None:
        """Step over the bytes of an array, or read the pickle of one that holds objects."""
        form = arrays.layout(state) if self._arrays and not wrapper.built else None
        start = self._stream.tell()
        if form is None:
            raise Unreadable("an array that joblib would not write", self._position, unsafe=True)
        if self._frame_end > start:
            # joblib reads the array from behind the frame, and the opcodes after it from inside.
            raise Unreadable("an array inside a frame", self._position, unsafe=True)
        self._frame_end = -1
        wrapper.built = True
        self._stack[-1] = Made(arrays.NDARRAY)
        if form.objects:
            Machine(self._stream, self._size, self._findings, arrays=False).run()
            return
        if form.padded:
            padding = self._stream.read(1)
            start += 1 + padding[0]
        if start + form.size_bytes > self._size:
            raise self._unreadable("an array that goes on after the end of the file")
        self._stream.seek(start + form.size_bytes)

    def _refuse(self, what: str) -> None:
        self._findings.refuse(what, self._position)


def _reconstructor_args(items: tuple[Any, ...]) -> bool:
    """The arguments by which numpy's array types and, in protocols 0 and 1, joblib's wrapper are made."""
    kind, second, _ = items
    if kind.role is Role.ARRAY_TYPE:
        return bool(second == (0,))
    return kind.role in _MADE_BARE and isinstance(second, Name) and second.pair == _OBJECT


def _is_plain(state: object) -> bool:
    return type(state) is Table and not state.computed and not state.alarming


def _described(owner: object) -> str:
    if isinstance(owner, Made | Name):
        return str(owner.pair)
    return "an object of a plain type"


def _with_arguments(pair: Pair, args: tuple[Any, ...]) -> str:
    shown = ", ".join(_argument(arg) for arg in args[:4])
    return f"{pair}({shown}{', …' if len(args) > 4 else ''})"


def _argument(value: object) -> str:
    if isinstance(value, str | int | None):
        text = repr(value)
        return text if len(text) <= 40 else text[:39] + "…"
    return str(value.pair) if isinstance(value, Made | Name) else "…"


def _bound(machine: Machine) -> Mapping[str, Callable[[Any], None]]:
    return {code: getattr(machine, f"_{name}") for code, name in _HANDLERS.items()}


# By opcode; pickletools.opcodes describes each.
_HANDLERS: Mapping[str, str] = {
    **dict.fromkeys("IJKMLSTUVX\x8a\x8b\x8c\x8d", "literal"),
    **dict.fromkeys("BC\x8e", "bytes"),
    **dict.fromkeys("FG\x96", "opaque"),
    "N": "none",
    "\x88": "true",
    "\x89": "false",
    "]": "empty_list",
    "\x8f": "empty_set",
    "}": "empty_table",
    ")": "empty_tuple",
    "t": "tuple",
    "\x85": "tuple1",
    "\x86": "tuple2",
    "\x87": "tuple3",
    "l": "list",
    "\x91": "set",
    "d": "table",
    "a": "append",
    "e": "appends",
    "\x90": "add_items",
    "s": "set_item",
    "u": "set_items",
    "(": "mark",
    "0": "pop",
    "1": "pop_to_mark",
    "2": "duplicate",
    **dict.fromkeys("ghj", "get"),
    **dict.fromkeys("pqr", "memo_put"),
    "\x94": "memoize",
    "\x80": "set_protocol",
    "\x95": "frame",
    ".": "stop",
    "c": "global",
    "\x93": "stack_global",
    "i": "instance",
    "o": "object",
    "R": "reduce",
    "\x81": "new_object",
    "\x92": "new_object_ex",
    "b": "build",
    "Q": "persistent_id",
    **dict.fromkeys("P\x82\x83\x84\x97\x98", "refused"),
}
