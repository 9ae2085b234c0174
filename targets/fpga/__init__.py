"""The target ``fpga``: a model as a verified circuit, or on an accelerator card through ONNX Runtime."""

from targets.fpga.settings import FpgaSettings
from targets.fpga.target import FpgaTarget

__all__ = ["FpgaSettings", "FpgaTarget"]
