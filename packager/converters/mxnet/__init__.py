"""MXNet models: a symbol and its parameters, read without MXNet; see ``docs/mxnet.md``."""

from packager.converters.mxnet.plugin import MxnetConverter

__all__ = ["MxnetConverter"]
