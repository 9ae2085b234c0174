"""Model packages on disk: written whole or not at all, verified on every read."""

from packager.pack.labels import with_labels
from packager.pack.read import open_package
from packager.pack.versions import next_version
from packager.pack.write import write_package

__all__ = ["next_version", "open_package", "with_labels", "write_package"]
