"""What ``--set`` and dray.yaml may say about the target ``fpga``."""

from typing import Literal

from pydantic import Field

from targets.fpga.ep.settings import EpSettings


class FpgaSettings(EpSettings):
    """Settings of the target ``fpga``.

    Attributes:
        mode: ``rtl`` makes a circuit of the model, ``ep`` runs it on an accelerator card.
    """

    mode: Literal["rtl", "ep"] | None = Field(None, description="rtl: a circuit; ep: an accelerator card")
