import numpy as np
import pytest

from runtime.contract.dtypes import DTYPES, Datatype, holds_all_of

NUMERIC = [name for name in DTYPES if name not in {"BOOL", "BYTES"}]


def extremes(dtype: Datatype) -> list[int]:
    """The values of a type that a narrower one would lose first, as exact integers."""
    kind = np.dtype(DTYPES[dtype].numpy)
    if kind.kind in "iu":
        facts = np.iinfo(kind)
        return [int(facts.min), int(facts.max)]
    exact = 2 ** (np.finfo(kind).nmant + 1)
    return [exact - 1, 1 - exact]


@pytest.mark.parametrize("narrow", NUMERIC)
@pytest.mark.parametrize("wide", NUMERIC)
def test_a_type_holds_all_of_another_where_a_cast_there_and_back_loses_nothing(
    wide: Datatype, narrow: Datatype
) -> None:
    if DTYPES[narrow].is_float and not DTYPES[wide].is_float:
        assert not holds_all_of(wide, narrow)
        return
    there = np.dtype(DTYPES[wide].numpy)
    kept = []
    for value in extremes(narrow):
        if there.kind == "f":
            with np.errstate(over="ignore"):
                cast = there.type(value)
            kept.append(bool(np.isfinite(cast)) and int(cast) == value)
        else:
            kept.append(np.iinfo(there).min <= value <= np.iinfo(there).max)

    assert holds_all_of(wide, narrow) is all(kept)


@pytest.mark.parametrize("other", ["BOOL", "BYTES", "INT64", "FP32"])
def test_truth_and_text_hold_only_themselves(other: Datatype) -> None:
    assert holds_all_of("BYTES", other) is (other == "BYTES")
    assert holds_all_of("BOOL", other) is (other == "BOOL")
