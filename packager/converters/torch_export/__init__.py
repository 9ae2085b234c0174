"""From a PyTorch module to an ONNX file, for every converter whose models run on PyTorch.

``export`` is the whole of it; ``structure`` tells how arguments and answers of a module are named as tensors.
"""

from packager.converters.torch_export.exporting import Exported, export
from packager.converters.torch_export.structure import named_tensors, output_tensors

__all__ = ["Exported", "export", "named_tensors", "output_tensors"]
