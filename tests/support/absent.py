"""What happens where a test needs something that is absent."""

import os
from typing import NoReturn

import pytest


def absent(reason: str) -> NoReturn:
    """Skip with the reason; under DRAY_REQUIRE_ALL=1 the absence is a failure."""
    if os.environ.get("DRAY_REQUIRE_ALL") == "1":
        pytest.fail(f"{reason}, and DRAY_REQUIRE_ALL is set", pytrace=False)
    pytest.skip(reason)
