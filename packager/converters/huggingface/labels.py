"""The name of the best class, in the graph: clients are answered with it, not with its number."""

from collections.abc import Sequence
from pathlib import Path

from packager.converters.huggingface.heads import INDEX, LABEL, PROBABILITIES, SCORE

# No exporter writes such names.
_NAMES, _BEST = "dray.names", "dray.best"


def name_labels(path: Path, classes: Sequence[str]) -> None:
    """Put ``label`` in the place of the best class's index, as the first output of the graph at ``path``."""
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    from packager.converters.torch_export.graph_names import name_values

    model = onnx.load(path, load_external_data=False)
    graph = model.graph
    outputs = {value.name: value for value in graph.output}
    inputs = [value.name for value in graph.input]
    names = np.array([name.encode() for name in classes], dtype=object)
    graph.initializer.append(numpy_helper.from_array(names, _NAMES))
    graph.node.append(helper.make_node("Gather", [_NAMES, INDEX], [_BEST], name=_BEST, axis=0))
    batch = outputs[INDEX].type.tensor_type.shape.dim[0].dim_param
    del graph.output[:]
    graph.output.extend(
        [helper.make_tensor_value_info(_BEST, TensorProto.STRING, [batch]), outputs[SCORE], outputs[PROBABILITIES]]
    )
    name_values(model, inputs, (LABEL, SCORE, PROBABILITIES))
    onnx.save(model, path)
