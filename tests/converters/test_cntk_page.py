from packager.converters.cntk import lowering  # registers the rules
from packager.converters.cntk.registry import PRIMITIVES
from tests.support.cntk_page import parts, table

# Of version 2.7. Source: Source/CNTKv2LibraryDll/API/Internals/PrimitiveOpType.h.
LAST = 96


def test_the_whole_enumeration_is_converted_or_refused() -> None:
    assert lowering.components
    assert sorted(PRIMITIVES) == list(range(LAST + 1))
    assert all(known.how and known.name for known in PRIMITIVES.values())


def test_the_page_says_what_the_registry_says() -> None:
    assert parts()[1] == table(), "python -m tests.support.cntk_page writes it"
