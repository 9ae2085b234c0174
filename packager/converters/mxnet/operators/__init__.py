"""Translations of MXNet's operators, by what they are about."""

from importlib import import_module

_MODULES = (
    "activations",
    "attention",
    "convolution",
    "creation",
    "elementwise",
    "heads",
    "indexing",
    "layout",
    "linear",
    "normalisation",
    "numpy_interface",
    "ordering",
    "pooling",
    "recurrent",
    "reduction",
    "resizing",
    "sequence",
    "slicing",
)


def load() -> None:
    """Import every module, which registers its operators."""
    for name in _MODULES:
        import_module(f"{__name__}.{name}")
