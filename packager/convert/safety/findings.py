"""What was found in a pickle: the names that are on no list, and what would be done with them."""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from packager.convert.safety.values import Pair

_MOST_OPCODES = 50_000_000
_MOST_FINDINGS = 64


class Unreadable(Exception):
    """The file cannot be read to its end as a pickle.

    Attributes:
        unsafe: Damage does not look like this: an unpickler may see other things in the same bytes.
    """

    def __init__(self, what: str, position: int, *, unsafe: bool = False) -> None:
        super().__init__(what)
        self.what = what
        self.position = position
        self.unsafe = unsafe


@dataclass(slots=True)
class Finding:
    """One thing outside the lists.

    Attributes:
        what: ``module.name``, or what would be done, in words.
        position: Where it first stands, in bytes from the beginning of the (decompressed) file.
        called: False where it is imported and handed on only.
    """

    what: str
    position: int
    called: bool


@dataclass(slots=True)
class Findings:
    """Collects over all pickles of a file.

    Attributes:
        allowed: The pairs that may be referred to.
        seen: Every pair that was referred to.
    """

    allowed: AbstractSet[Pair]
    seen: set[Pair] = field(default_factory=set)
    _found: dict[str, Finding] = field(default_factory=dict)
    _opcodes: int = 0

    def see(self, pair: Pair, position: int) -> bool:
        """Note a reference; True where it is allowed."""
        self.seen.add(pair)
        if pair in self.allowed:
            return True
        self._add(str(pair), position, called=False)
        return False

    def call(self, pair: Pair, position: int) -> None:
        """Note that a pair which is not allowed would be called."""
        self._add(str(pair), position, called=True)

    def refuse(self, what: str, position: int) -> None:
        """Note something else that would be done."""
        self._add(what, position, called=True)

    def is_foreign(self, pair: Pair | None) -> bool:
        """Whether the pair is one of those outside the lists."""
        return pair is not None and pair not in self.allowed

    def count_opcode(self) -> None:
        """Bound the time that one file can take.

        Raises:
            Unreadable: There are more opcodes than any model has.
        """
        self._opcodes += 1
        if self._opcodes > _MOST_OPCODES:
            raise Unreadable(f"it holds more than {_MOST_OPCODES} opcodes", 0)

    def __iter__(self) -> Iterator[Finding]:
        return iter(sorted(self._found.values(), key=lambda finding: (not finding.called, finding.position)))

    def __bool__(self) -> bool:
        return bool(self._found)

    def _add(self, what: str, position: int, *, called: bool) -> None:
        if (known := self._found.get(what)) is not None:
            known.called |= called
        elif len(self._found) < _MOST_FINDINGS:
            self._found[what] = Finding(what, position, called)
