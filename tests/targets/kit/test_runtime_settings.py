"""The contract with a provider, as every target hands it to the runtime."""

import json
from typing import Any

import pytest

from runtime.settings import read_settings
from targets.kit.runtime_settings import RuntimeSettings

CUDA = "CUDAExecutionProvider"


def test_contract_reaches_the_runtime_as_it_was_said() -> None:
    options = {"device_id": 1, "use_tf32": False}
    environment = RuntimeSettings(provider=CUDA, provider_options=options).environment()
    settings, warnings = read_settings(environment)
    assert not warnings
    assert (settings.providers, settings.fallback) == ((CUDA,), "forbid")
    assert settings.provider_options == {CUDA: {"device_id": "1", "use_tf32": "false"}}
    assert json.loads(environment["DRAY_PROVIDER_OPTIONS"]) == {CUDA: options}


def test_without_a_provider_nothing_is_said_of_one() -> None:
    assert RuntimeSettings().environment() == {}


@pytest.mark.parametrize(
    "settings",
    [{"fallback": "allow"}, {"provider_options": {"a": 1}}, {"provider": "CPUExecutionProvider"}, {"provider": "CUDA"}],
)
def test_contract_that_cannot_be_meant_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"provider"):
        RuntimeSettings.model_validate(settings)
