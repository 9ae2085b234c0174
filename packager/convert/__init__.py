"""From a model file to a verified ONNX model: recognise, convert, check, compare."""

from packager.convert.run import convert

__all__ = ["convert"]
