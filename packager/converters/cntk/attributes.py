"""The attributes of a function, read strictly: what no rule asks for is refused."""

from collections.abc import Mapping
from typing import Any

from packager.converters.cntk.dictionary import Axis, Shape
from packager.converters.cntk.wire import damaged


class Attributes:
    """Attributes by name; remembers which were asked for."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values
        self._asked: set[str] = set()

    def unasked(self) -> list[str]:
        """Names of those that no rule has asked for."""
        return sorted(set(self._values) - self._asked)

    def peek(self, name: str) -> Any:
        """A value of any type, without counting as asked for; None where it is absent."""
        return self._values.get(name)

    def skip(self, *names: str) -> None:
        """Mark attributes that mean nothing for an answer."""
        self._asked.update(names)

    def has(self, name: str) -> bool:
        """Whether it is there."""
        return name in self._values

    def whole(self, name: str, default: int | None = None) -> int:
        """A whole number."""
        value = self._get(name, default)
        if not isinstance(value, int) or isinstance(value, bool):
            raise damaged(f"the attribute {name!r} is {value!r}, not a whole number")
        return value

    def real(self, name: str, default: float | None = None) -> float:
        """A number."""
        value = self._get(name, default)
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise damaged(f"the attribute {name!r} is {value!r}, not a number")
        return float(value)

    def flag(self, name: str, default: bool | None = None) -> bool:
        """A truth value."""
        value = self._get(name, default)
        if not isinstance(value, bool):
            raise damaged(f"the attribute {name!r} is {value!r}, not a truth value")
        return value

    def text(self, name: str) -> str:
        """A text."""
        value = self._get(name, None)
        if not isinstance(value, str):
            raise damaged(f"the attribute {name!r} is {value!r}, not a text")
        return value

    def shape(self, name: str, default: tuple[int, ...] | None = None) -> tuple[int, ...]:
        """Sizes, the slowest axis first."""
        value = self._get(name, None if default is None else Shape(default[::-1]))
        if not isinstance(value, Shape):
            raise damaged(f"the attribute {name!r} is {value!r}, not a shape")
        return value.dims[::-1]

    def axis(self, name: str) -> Axis:
        """An axis."""
        value = self._get(name, None)
        if not isinstance(value, Axis):
            raise damaged(f"the attribute {name!r} is {value!r}, not an axis")
        return value

    def axes(self, name: str) -> list[Axis]:
        """A list of axes."""
        return self._list(name, Axis)

    def wholes(self, name: str) -> list[int]:
        """A list of whole numbers."""
        return self._list(name, int)

    def flags(self, name: str) -> list[bool]:
        """A list of truth values."""
        return self._list(name, bool)

    def _list(self, name: str, kind: type[Any]) -> list[Any]:
        value = self._get(name, None)
        if not isinstance(value, list) or not all(isinstance(item, kind) for item in value):
            raise damaged(f"the attribute {name!r} is {value!r}, not a list of {kind.__name__}")
        return value

    def _get(self, name: str, default: Any) -> Any:
        self._asked.add(name)
        if name not in self._values:
            if default is None:
                raise damaged(f"the attribute {name!r} is absent")
            return default
        return self._values[name]
