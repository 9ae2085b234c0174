"""Environments of PyTorch and TensorFlow for the tests: made by dray itself, once, and kept between runs."""

import os
from pathlib import Path

import pytest

from packager import environments
from packager.core.environment import EnvironmentSpec
from packager.core.errors import EnvironmentFailed
from packager.core.progress import SilentProgress
from packager.core.state import state_home
from packager.environments import Environment

KEPT = Path(__file__).parent.parent.parent / ".cache" / "environments"
_TIMEOUT_S = 900.0


def share_environments() -> None:
    """Let the state folder of this test, DRAY_HOME, hold the environments that are kept."""
    KEPT.mkdir(parents=True, exist_ok=True)
    link = state_home() / "environments"
    if not link.exists():
        link.symlink_to(KEPT)


def framework(spec: EnvironmentSpec | None) -> Environment | None:
    """The environment, made now where it is not there yet; None where this one will do.

    Skips the test, with the reason, where it cannot be made; under DRAY_REQUIRE_ALL=1 that is a failure.
    """
    share_environments()
    if spec is None:
        return None
    try:
        return environments.make(spec, progress=SilentProgress(), timeout_s=_TIMEOUT_S)
    except EnvironmentFailed as error:
        if os.environ.get("DRAY_REQUIRE_ALL") == "1":
            pytest.fail(f"{error.message}, and DRAY_REQUIRE_ALL is set", pytrace=False)
        pytest.skip(error.message)
