"""What loading a file would run that no list holds: asked in the parent, and again where it is loaded."""

from pathlib import Path

from packager.converters.tensorflow.graph_files import foreign_operations
from packager.converters.tensorflow.keras_config import foreign_names
from packager.converters.tensorflow.keras_files import embedded_configs, zipped_config
from packager.converters.tensorflow.recognition import required_kind


def foreign_in(path: Path, *, has_plugin: bool) -> tuple[str, ...]:
    """By name; empty for most models.

    Args:
        has_plugin: A module of the user's registers the model's own classes.
    """
    match required_kind(path):
        case "saved-model":
            return foreign_operations(path)
        case "keras":
            return foreign_names(zipped_config(path), is_registered_elsewhere=has_plugin)
        case "hdf5":
            found = (foreign_names(config, is_registered_elsewhere=has_plugin) for config in embedded_configs(path))
            return tuple(dict.fromkeys(name for names in found for name in names))
        case _:
            return ()
