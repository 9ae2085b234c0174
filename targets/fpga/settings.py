"""What ``--set`` and dray.yaml may say about the target ``fpga``: the settings of all its modes."""

from targets.fpga.ep.settings import EpSettings


class FpgaSettings(EpSettings):
    """Settings of the target ``fpga``."""
