"""Makes many exports in one process quick: PyTorch's exporter reads the sources of all its operators at each."""

import functools


def remember_operators() -> None:
    """Reads them once: half of a small export's time. No export of dray's adds any."""
    try:
        from torch.onnx._internal.exporter._registration import ONNXRegistry
    except ImportError:  # another PyTorch has them elsewhere, and takes its time
        return
    ONNXRegistry.from_torchlib = staticmethod(functools.cache(ONNXRegistry.from_torchlib))
