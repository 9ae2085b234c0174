"""Names of execution providers, and of options of those that ignore what they do not know."""

import onnxruntime
import pytest

from packager.core.deployment import ProviderAsked
from targets.kit.providers import KNOWN
from targets.kit.runtime_settings import RuntimeSettings

VITIS = "VitisAIExecutionProvider"


def test_every_provider_of_this_onnxruntime_is_known() -> None:
    assert set(onnxruntime.get_all_providers()) <= set(KNOWN)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("cuda", "CUDAExecutionProvider"),
        ("CudaExecutionProvider", "CUDAExecutionProvider"),
        ("VitisExecutionProvider", VITIS),
        ("vitisai", VITIS),
        ("OpenVinoExecutionProvider", "OpenVINOExecutionProvider"),
        ("TensorRTExecutionProvider", "TensorrtExecutionProvider"),
        ("DMLExecutionProvider", "DmlExecutionProvider"),
    ],
)
def test_provider_that_is_almost_right_is_told_the_right_name(said: str, meant: str) -> None:
    with pytest.raises(ValueError, match=f"provider '{said}' is none of ONNX Runtime's; did you mean {meant}"):
        RuntimeSettings(provider=said)


def test_provider_of_a_build_of_ones_own_is_taken() -> None:
    settings = RuntimeSettings(provider="HailoExecutionProvider")
    assert settings.provider_asked == ProviderAsked("HailoExecutionProvider", must=True)
    assert RuntimeSettings().provider_asked is None


@pytest.mark.parametrize("said", [f"{VITIS},CPUExecutionProvider", "CPUExecutionProvider", "a card"])
def test_cpu_beside_the_provider_and_no_provider_are_refused(said: str) -> None:
    with pytest.raises(ValueError, match=r"and one does the work|needs no name|pattern"):
        RuntimeSettings(provider=said)


@pytest.mark.parametrize("option", ["config_flie", "cachedir", "xclbins"])
def test_option_that_the_provider_would_ignore_is_told_the_right_name(option: str) -> None:
    with pytest.raises(ValueError, match=rf"provider_options.{option} is none of {VITIS}'s; did you mean"):
        RuntimeSettings(provider=VITIS, provider_options={option: "x"})


@pytest.mark.parametrize("option", ["config_file", "cacheDir", "ai_analyzer_visualization"])
def test_option_that_is_known_or_like_none_is_taken(option: str) -> None:
    settings = RuntimeSettings(provider=VITIS, provider_options={option: "x"})
    assert option in settings.environment()["DRAY_PROVIDER_OPTIONS"]
