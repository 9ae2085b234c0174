"""From a model file to a verified ONNX model: recognise, convert, check, compare."""

from packager.convert.run import convert
from packager.convert.safety import Trust

__all__ = ["Trust", "convert"]
