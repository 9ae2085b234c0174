"""Layers of images that tests build, kept in ``.cache`` by what they are made of, as a user's are between builds."""

from pathlib import Path

import pytest

from tests.support.base_image import ROOT


def keep_layers(home: Path) -> Path:
    """Make a state folder find the layers that earlier tests have packed."""
    kept = ROOT / ".cache" / "image"
    kept.mkdir(parents=True, exist_ok=True)
    (home / "cache").mkdir(parents=True, exist_ok=True)
    (home / "cache" / "image").symlink_to(kept)
    return home


@pytest.fixture
def shared_layers_of_images(state_folder: Path) -> Path:
    return keep_layers(state_folder)
