"""What is shown of a package's circuit, wherever its package is shown."""

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict

from packager.core.artifact import ModelPackage
from runtime.contract.circuit import Accuracy, Resources


class CircuitSummary(BaseModel):
    """A circuit in short; all of it stands in the manifest and the certificate.

    Attributes:
        agreement: With the source, by output; ``min_agreement`` is the gate that it passed.
        judged_by: The measure that each of these is (``OutputAgreement.measures``): the one that agrees least.
        tried: Agreement by bits, of the widths that were tried.
        accuracy: None where nobody gave the truth: it was not measured.
        compared: Rows of integers whose simulated answers equal the reference's bit for bit.
        netlist_compared: Those that the synthesised netlist answers alike; None where nothing was synthesised.
        broken_rtl: Whether a broken circuit's Verilog was noticed too; None where none was built.
        project: Folder for the vendor's tool.
        simulations: Platforms that its simulation runs on.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    bits: int
    agreement: Mapping[str, float]
    judged_by: Mapping[str, str]
    min_agreement: float
    tried: Mapping[str, float]
    accuracy: Accuracy | None
    resources: tuple[Resources, ...]
    latency_cycles: int
    initiation_interval: int
    compared: int
    netlist_compared: int | None
    mutants: int
    caught: int
    broken_rtl: bool | None
    project: str
    simulations: tuple[str, ...]

    @classmethod
    def of(cls, package: ModelPackage) -> "CircuitSummary | None":
        """Of a verified package; None where it has no circuit."""
        model, found = package.manifest.circuit, package.certificate.circuit
        if model is None or found is None:
            return None
        return cls(
            name=model.name,
            bits=model.bits,
            agreement={name: each.agreement for name, each in found.agreement.items()},
            judged_by={
                name: min(each.measures, key=each.measures.__getitem__, default="")
                for name, each in found.agreement.items()
            },
            min_agreement=found.min_agreement,
            tried=found.tried,
            accuracy=found.accuracy,
            resources=found.resources,
            latency_cycles=model.latency_cycles,
            initiation_interval=model.initiation_interval,
            compared=found.compared,
            netlist_compared=found.netlist_compared,
            mutants=found.mutants,
            caught=found.caught,
            broken_rtl=found.broken_rtl,
            project=str(package.root / model.project),
            simulations=tuple(each.platform for each in found.simulations),
        )
