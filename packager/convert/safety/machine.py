"""A pickle read without being loaded: the stack machine of ``pickle``, on stand-ins for objects.

It follows the pure Python unpickler, which joblib loads with, opcode by opcode; where two unpicklers could see
different things in the same bytes, it refuses. Nothing is imported and nothing is called.
"""

import _compat_pickle
import pickletools
import warnings
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

from packager.convert.safety import arrays, calls
from packager.convert.safety.findings import Findings, Unreadable
from packager.convert.safety.stack import MADE_BARE, Stack, described
from packager.convert.safety.values import (
    Foreign,
    Made,
    Name,
    Pair,
    Restricted,
    Role,
    Table,
)  # fmt: skip

_HIGHEST_PROTOCOL = 5
_RECONSTRUCTOR = Pair("copyreg", "_reconstructor")
_UNKNOWN = Pair("?", "?")


class Machine(Stack):
    """Reads one pickle from ``stream``; what it would import and call goes to ``findings``.

    Args:
        arrays: Whether bytes of arrays stand between the opcodes, as joblib writes them.
        storages: Whether persistent ids stand for the storages of tensors, as torch.save writes them.
    """

    def __init__(
        self, stream: BinaryIO, size: int, findings: Findings, *, arrays: bool = True, storages: bool = False
    ) -> None:
        super().__init__(findings)
        self._stream = stream
        self._size = size
        self._arrays = arrays
        self._storages = storages
        self._protocol = 0
        self._frame_end = -1
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
            self._refuse(f"{described(kind)} (with arguments that are computed)")
        self._stack.append(self._called(kind, args))

    def _object(self, _: object) -> None:
        items = self._pop_mark()
        kind = items.pop(0)
        self._stack.append(self._called(kind, tuple(items)))

    def _instance(self, _: object) -> None:
        kind = self._named(*self._two_lines("ascii"))
        self._stack.append(self._called(kind, tuple(self._pop_mark())))

    def _created(self, kind: object, args: object) -> Made:
        if isinstance(kind, Restricted) and kind.role in MADE_BARE and args == ():
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
            self._refuse(f"{described(owner)}.__setstate__")
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
                self._refuse(f"{described(owner)}.__setattr__ (with names that are computed)")
        elif isinstance(state, Made | Name) or (type(state) is Table and not _is_plain(state)):
            self._refuse(f"{described(owner)}.__setstate__ (with a state that is computed)")

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


def _is_plain(state: object) -> bool:
    return type(state) is Table and not state.computed and not state.alarming


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
