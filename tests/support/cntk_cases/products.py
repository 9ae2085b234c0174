"""Matrix products."""

import cntk as C
import numpy as np

CASES = {}


def case(name, build, **kinds):
    """Register a case; `kinds` says how inputs are drawn."""
    CASES[name] = (build, kinds)


def x(shape=(4,), name="x", **more):
    return C.input_variable(shape, name=name, **more)


def w(*shape):
    return C.parameter(shape, init=np.random.RandomState(len(shape)).normal(0, 1, shape).astype("f"))


case("times", lambda: C.times(x(), w(4, 3)))
case("times_swapped", lambda: C.times(w(3, 4), x((4,))))
case("times_matrix", lambda: C.times(x((2, 4)), w(4, 3)))
case("times_rank2", lambda: C.times(x((2, 4)), w(2, 4, 3)))
case("times_output2", lambda: C.times(x(), w(4, 3, 5), output_rank=2))
case("times_tensor", lambda: C.times(x((5, 2, 4)), w(4, 3)))
case("times_infer", lambda: C.times(x((5, 2, 4)), w(2, 4, 3), infer_input_rank_to_map=1))
case("times_infer_all", lambda: C.times(x((2, 4)), w(2, 4, 3), infer_input_rank_to_map=0))
case("times_data", lambda: C.times(x((2, 4)), x((4, 3), name="y")))
case("times_data_vectors", lambda: C.times(x((4,)), x((4, 3), name="y")))
case("times_data_rank", lambda: C.times(x((2, 4)), x((4, 3, 2), name="y"), output_rank=2))
case(
    "times_constant_both",
    lambda: (
        x((3,))
        + C.times(
            w(
                4,
            ),
            w(4, 3),
        )
    ),
)
case("times_transpose", lambda: C.times_transpose(x(), w(3, 4)))
case("times_transpose_matrix", lambda: C.times_transpose(x((2, 4)), w(3, 4)))
case("times_transpose_data", lambda: C.times_transpose(x((2, 4)), x((3, 4), name="y")))
case("times_transpose_vector", lambda: C.times_transpose(x((4,)), x((4,), name="y")))
case("sparse_embedding", lambda: C.times(x((5,), is_sparse=True), w(5, 3)), x="onehot")
case("cos_distance", lambda: C.cosine_distance(x(), x(name="y")))
case("cos_distance_negative", lambda: C.cosine_distance_with_negative_samples(x(), x(name="y"), 1, 2))
