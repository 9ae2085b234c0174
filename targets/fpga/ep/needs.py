"""What each execution provider needs of its host and of the model. One table for all cards."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final, Literal

from targets.fpga.ep.settings import VITIS_AI, EpSettings

_XILINX: Final = "0x10ee"
_NVIDIA: Final = "nvidia.com/gpu"
_RENDER: Final = "dri/renderD*"


@dataclass(frozen=True, slots=True)
class Needs:
    """Of one provider.

    Attributes:
        nodes: Pattern of its device nodes below ``/dev``; empty where it needs none.
        card: What people call it.
        vendor: PCI vendor of the card, where nodes of others look alike.
        xrt: Whether the host needs AMD's runtime of the card.
        gpus: Whether a container gets the card by NVIDIA's toolkit.
        resource: What stands for the card in Kubernetes, where all clusters call it the same.
        quantize: The form of a model that it takes.
    """

    nodes: str = ""
    card: str = "card"
    vendor: str | None = None
    xrt: bool = False
    gpus: bool = False
    resource: str | None = None
    quantize: Literal["int8-static"] | None = None


# Sources: AMD, "Vitis AI Execution Provider" and "Alveo: XRT" (render nodes; /dev/xclmgmt is of whoever manages the
# card); NVIDIA, "Container Toolkit"; Microsoft, "DirectML in WSL" (/dev/dxg); Intel, "OpenVINO Execution Provider".
_KNOWN: Final[Mapping[str, Needs]] = {
    VITIS_AI: Needs(_RENDER, "AMD (Xilinx) card", vendor=_XILINX, xrt=True, quantize="int8-static"),
    "CUDAExecutionProvider": Needs("nvidia[0-9]*", "NVIDIA GPU", gpus=True, resource=_NVIDIA),
    "TensorrtExecutionProvider": Needs("nvidia[0-9]*", "NVIDIA GPU", gpus=True, resource=_NVIDIA),
    "DmlExecutionProvider": Needs("dxg", "DirectX adapter"),
}
# Options that name files. Source: ONNX Runtime, "Vitis AI Execution Provider".
_FILES: Final = ("config_file", "xclbin")
_OPENVINO: Final = "OpenVINOExecutionProvider"


def needs_of(settings: EpSettings) -> Needs:
    """What the provider of these settings needs; nothing is known of others than ONNX Runtime's best known."""
    if settings.provider == _OPENVINO:
        device = str(settings.provider_options.get("device_type", "CPU")).upper()
        if "GPU" in device:
            return Needs(_RENDER, "GPU", vendor="0x8086")
        return Needs("accel/accel[0-9]*", "NPU") if "NPU" in device else Needs()
    return _KNOWN.get(settings.provider, Needs())


def files_named(settings: EpSettings) -> tuple[str, ...]:
    """Files that options of the provider name, absolute paths; another is up to the provider's own folder."""
    named = (str(settings.provider_options.get(option, "")) for option in _FILES)
    return tuple(file for file in named if file.startswith("/"))


def mounted(settings: EpSettings) -> tuple[str, ...]:
    """What a container reads of its engine's machine: mounts, and files of the provider's options that lie in them.

    What no mount covers may be in the image.
    """
    pairs = [(Path(inside), Path(here)) for here, _, inside in (mount.rpartition(":") for mount in settings.mounts)]
    named = [
        str(here / PurePosixPath(file).relative_to(inside))
        for file in files_named(settings)
        for inside, here in pairs
        if PurePosixPath(file).is_relative_to(inside)
    ]
    return tuple(dict.fromkeys([*(str(here) for _, here in pairs), *named]))


def resource_of(settings: EpSettings) -> str | None:
    """The extended resource that stands for the card."""
    return settings.resource or needs_of(settings).resource
