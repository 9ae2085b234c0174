"""The form that a target's hosts take a model in, where nobody says another."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitAsked:
    """A circuit, and what is said of it; None leaves it to the options of the command line, and to their defaults.

    Attributes:
        bits: Of the numbers in it.
        max_luts: The most look-up tables, by an estimate.
        min_agreement: The gate, from 0 to 1.
        synthesize: Whether yosys counts its cells, and its netlist is asked all rows too.
        part: The device of the project folder, as its vendor's tool calls it. ``clock_ns``: its clock's period.
    """

    bits: int | None = None
    max_luts: int | None = None
    min_agreement: float | None = None
    part: str | None = None
    clock_ns: float | None = None
    synthesize: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """One form; with neither, the model as it is converted.

    Attributes:
        quantize: As ``--quantize`` has it.
        circuit: What answers in the graph's place.
    """

    quantize: str | None = None
    circuit: CircuitAsked | None = None
