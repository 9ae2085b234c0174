"""dray's builder: from a trained model to a verified endpoint.

    from packager import build_image, package, ship

take a path or a fitted object, and return the documents that the command line prints with ``-o json``.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from packager.images import build_image
    from packager.pipeline import package, ship

__all__ = ["build_image", "package", "ship"]


def __getattr__(name: str) -> Any:
    """Import the pipeline on first use, so that a plugin that needs ``packager.core`` alone stays light."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from packager import images, pipeline

    return getattr(images if name == "build_image" else pipeline, name)
