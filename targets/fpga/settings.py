"""What ``--set`` and dray.yaml may say about the target ``fpga``: the settings of all its modes."""

from collections.abc import Mapping
from typing import Final, Self

from pydantic import model_validator

from targets.fpga.ep.settings import EpSettings
from targets.fpga.hosted import HostedSettings, Mode
from targets.fpga.rtl.settings import RtlSettings

_OF_ALL: Final = frozenset(HostedSettings.model_fields)
_OF: Final[Mapping[Mode, frozenset[str]]] = {
    "ep": frozenset(EpSettings.model_fields) - _OF_ALL,
    "rtl": frozenset(RtlSettings.model_fields) - _OF_ALL,
}


class FpgaSettings(EpSettings, RtlSettings):
    """Settings of the target ``fpga``; those of one mode go with no other."""

    @model_validator(mode="after")
    def _of_its_mode(self) -> Self:
        for mode, names in _OF.items():
            strange = sorted(names & self.model_fields_set)
            if strange and self.mode and mode != self.mode:
                raise ValueError(f"{strange[0]} is of mode={mode}, and mode={self.mode} is set")
        return self
