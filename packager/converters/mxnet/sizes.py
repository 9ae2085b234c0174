"""Sizes of axes: whole numbers, and what can be computed from sizes that are free."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_Monomial = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Size:
    """A polynomial with whole coefficients in named sizes, such as ``batch`` or ``3*seq + 2``.

    Attributes:
        terms: (names with repetition, sorted; coefficient), sorted, without zeros.
    """

    terms: tuple[tuple[_Monomial, int], ...] = ()

    @property
    def fixed(self) -> int | None:
        """The number, where nothing is free."""
        if not self.terms:
            return 0
        return self.terms[0][1] if self.terms[0][0] == () and len(self.terms) == 1 else None

    @property
    def symbol(self) -> str | None:
        """The name, where the size is one free size and nothing else."""
        match self.terms:
            case (((name,), 1),):
                return name
        return None

    @property
    def symbols(self) -> frozenset[str]:
        """All names."""
        return frozenset(name for names, _ in self.terms for name in names)

    def __add__(self, other: "Size | int") -> "Size":
        return _summed([*self.terms, *size(other).terms])

    def __sub__(self, other: "Size | int") -> "Size":
        return self + size(other) * -1

    def __mul__(self, other: "Size | int") -> "Size":
        right = size(other).terms
        return _summed([(tuple(sorted(a + b)), x * y) for a, x in self.terms for b, y in right])

    def __str__(self) -> str:
        parts = []
        for names, factor in reversed(self.terms):
            parts.append("*".join([str(factor)] * (factor != 1 or not names) + list(names)))
        return " + ".join(parts) or "0"

    def over(self, other: "Size | int") -> "Size | None":
        """The exact quotient; None where there is none."""
        divisor = size(other)
        if not divisor.terms:
            return None
        lead, factor = _lead(divisor)
        rest, quotient = self, Size()
        for _ in range(64):
            if not rest.terms:
                return quotient
            names, number = _lead(rest)
            left = _without(names, lead)
            if left is None or number % factor:
                return None
            step = Size(((left, number // factor),))
            quotient, rest = quotient + step, rest - divisor * step
        return None

    def with_values(self, values: Mapping[str, "Size"]) -> "Size":
        """The size with names replaced."""
        total = Size()
        for names, factor in self.terms:
            product = size(factor)
            for name in names:
                product *= values.get(name, named(name))
            total += product
        return total


def size(value: Size | int) -> Size:
    """A number as a size."""
    if isinstance(value, Size):
        return value
    return Size((((), int(value)),)) if value else Size()


def named(name: str) -> Size:
    """A free size."""
    return Size((((name,), 1),))


def product(sizes: Iterable[Size]) -> Size:
    """All of them multiplied."""
    total = size(1)
    for item in sizes:
        total *= item
    return total


def floor_divided(value: Size, divisor: int) -> tuple[Size, Size | None]:
    """``value // divisor`` as (what divides exactly, what is left to floor in a form that equal floors share)."""
    exact, rest = [], []
    for names, factor in value.terms:
        whole, left = divmod(factor, divisor)
        exact.append((names, whole))
        rest.append((names, left))
    remains = _summed(rest)
    return _summed(exact), (remains if remains.fixed is None else None)


def _summed(terms: Iterable[tuple[_Monomial, int]]) -> Size:
    totals: dict[_Monomial, int] = {}
    for names, factor in terms:
        totals[names] = totals.get(names, 0) + factor
    return Size(tuple(sorted((names, factor) for names, factor in totals.items() if factor)))


def _lead(value: Size) -> tuple[_Monomial, int]:
    return max(value.terms, key=lambda term: (len(term[0]), term[0]))


def _without(names: _Monomial, taken: _Monomial) -> _Monomial | None:
    left = list(names)
    for name in taken:
        if name not in left:
            return None
        left.remove(name)
    return tuple(left)
