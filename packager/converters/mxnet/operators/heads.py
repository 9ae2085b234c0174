"""Heads that training compares with a label: at inference, the answers alone."""

from packager.converters.mxnet.operators.activations import apart, row_softmax
from packager.converters.mxnet.registry import Call, Values, operator


@operator("SoftmaxOutput", least=1, most=2, uses=1, steps=True)
def softmax_output(call: Call) -> Values:
    """Softmax of a row, over the channels (``multi_output``) or over the last axis (``preserve_shape``)."""
    call.floats()
    x = call.inputs[0]
    if call.flag("multi_output") or call.flag("preserve_shape"):
        axis = call.nonnegative_axis(1 if call.flag("multi_output") else -1, x.rank)
        apart(call, axis)
        return call.computed("Softmax", x.name, like=x, axis=axis)
    return row_softmax(call)


@operator("LinearRegressionOutput", "MAERegressionOutput", "SVMOutput", "MakeLoss", least=1, most=2, uses=1, steps=True)
def plain(call: Call) -> Values:
    """The scores themselves."""
    return (call.inputs[0],)


@operator("LogisticRegressionOutput", least=1, most=2, uses=1, steps=True)
def logistic(call: Call) -> Values:
    """A probability for every score."""
    call.floats()
    return call.computed("Sigmoid", call.inputs[0].name, like=call.inputs[0])
