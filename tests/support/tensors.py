"""Tensors of every type of the protocol, for property tests."""

import math

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from runtime.contract.dtypes import DTYPES, Datatype


@st.composite
def typed_arrays(draw: st.DrawFn, *, infinite: bool) -> tuple[Datatype, np.ndarray]:
    """A type, and an array of it of up to three axes.

    Args:
        infinite: Whether floats may be infinite; JSON carries no infinity.
    """
    dtype: Datatype = draw(st.sampled_from(sorted(DTYPES)))
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3))
    if dtype == "BYTES":
        words = draw(st.lists(st.text(), min_size=math.prod(shape), max_size=math.prod(shape)))
        array = np.empty(len(words), dtype=object)
        array[:] = words
        return dtype, array.reshape(shape)
    kind = np.dtype(DTYPES[dtype].numpy)
    options = {"allow_infinity": infinite} if DTYPES[dtype].is_float else {}
    return dtype, draw(hnp.arrays(kind, shape, elements=hnp.from_dtype(kind, **options)))
