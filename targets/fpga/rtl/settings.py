"""Settings of ``mode: rtl``: what is said of a circuit, in the place of the options of ``dray package --circuit``."""

from typing import Final, Self

from pydantic import Field, model_validator

from targets.fpga.hosted import HostedSettings

# A process of the CPU simulates the circuit: there is no card that ONNX Runtime could be given.
_OF_CARDS: Final = ("provider", "provider_options", "fallback")


class RtlSettings(HostedSettings):
    """Settings of ``mode: rtl``; one that is left out has the default of ``dray package --circuit``.

    Attributes:
        bits: Of the weights and of the numbers between layers; the fewest that agree where left out.
        max_luts: The most look-up tables, by an estimate; 150,000 where left out.
        min_agreement: Share of the rows on which the circuit agrees with the model; 0.98 where left out.
        part: The device of the project folder, as its vendor's tool calls it. ``clock_ns``: its clock's period.
    """

    bits: int | None = Field(None, ge=2, le=16, description="of the numbers in the circuit; as few as agree")
    max_luts: int | None = Field(None, ge=1, description="most look-up tables, by an estimate; 150000 where left out")
    min_agreement: float | None = Field(None, ge=0, le=1, description="gate of the circuit; 0.98 where left out")
    part: str | None = Field(None, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="device of the project folder")
    clock_ns: float | None = Field(None, gt=0, le=1000, description="clock period of the project folder")
    synthesize: bool = Field(False, description="whether yosys counts its cells as well, which takes minutes")

    @model_validator(mode="after")
    def _without_a_card(self) -> Self:
        if self.mode != "rtl":
            return self
        for name, host in (("docker", self.docker), ("kubernetes", self.kubernetes), ("local", self.local)):
            if cards := sorted(host.model_fields_set & {*_OF_CARDS}):
                raise ValueError(f"{name}.{cards[0]} is of mode=ep, and mode=rtl is set")
        return self
