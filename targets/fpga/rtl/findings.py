"""What stands in the way of a circuit's simulation, or is worth knowing of it: each with one stable code."""

from collections.abc import Iterable, Sequence
from typing import Final

from packager.core.artifact import ModelPackage
from packager.core.deployment import Finding, Findings
from packager.core.errors import CircuitAbsent, ConfigurationError, SimulationAbsent
from packager.core.evidence import simulated_on, unsimulated
from packager.core.image import Platform
from runtime.contract.circuit import CircuitEvidence, CircuitModel
from targets.fpga.rtl.settings import RtlSettings

SIMULATION: Final = "E-SIMULATION"
_PROJECT: Final = "E-PROJECT"


def of_package(settings: RtlSettings, package: ModelPackage, platforms: Sequence[Platform]) -> Findings:
    """What a package shows.

    Args:
        platforms: Of the host, where its own target does not look at that.
    """
    circuit, evidence = package.manifest.circuit, package.certificate.circuit
    if circuit is None or evidence is None:
        message = f"{package.manifest.name} {package.manifest.version} holds no circuit, and mode=rtl serves one"
        hint = "dray ship MODEL makes one for this target; or dray package MODEL --circuit, and deploy that"
        return (Finding(CircuitAbsent.code, message, hint, blocking=True),)
    return (
        *_absent(package, platforms),
        *_contradictions(settings, circuit, evidence),
        *_project(settings, circuit),
        Finding(SIMULATION, _told(circuit, evidence), f"the package holds it for the vendor's tool: {circuit.project}"),
    )


def refuse_platform(platforms: Sequence[Platform]) -> None:
    """Refuse to make a circuit for a host that could not run its simulation, before anything is made.

    Raises:
        SimulationAbsent: It is such a host.
    """
    here = Platform.here()
    for each in platforms:
        if each != here:
            raise SimulationAbsent(
                f"the host is {each}, and a circuit's simulation is built for this machine, {here}",
                hint="make the package on a machine of the host's platform: dray package MODEL --circuit",
            )


def _absent(package: ModelPackage, platforms: Sequence[Platform]) -> Iterable[Finding]:
    if absent := unsimulated(package, platforms):
        held = ", ".join(simulated_on(package)) or "none"
        message = f"the host is {', '.join(absent)}, and the package's simulations of its circuit are for: {held}"
        hint = "a simulation is built for the machine that packages: make the package on one of that platform"
        yield Finding(SimulationAbsent.code, message, hint, blocking=True)


def _contradictions(settings: RtlSettings, circuit: CircuitModel, evidence: CircuitEvidence) -> Iterable[Finding]:
    """Settings that the package was not made with; those that are left out are about none."""
    agreement, luts = _agreement(evidence), min((each.luts for each in evidence.resources), default=0)
    if settings.bits is not None and settings.bits != circuit.bits:
        yield _contradiction(f"bits={settings.bits}", f"has {circuit.bits} bits", f"--bits {settings.bits}")
    if settings.max_luts is not None and luts > settings.max_luts:
        asked = f"max_luts={settings.max_luts}"
        yield _contradiction(asked, f"has about {luts:,} look-up tables", f"--max-luts {settings.max_luts}")
    if settings.min_agreement is not None and agreement < settings.min_agreement:
        asked, found = f"min_agreement={settings.min_agreement:g}", f"has an agreement of {agreement:.4g}"
        yield _contradiction(asked, found, f"--min-agreement {settings.min_agreement:g}")
    if settings.synthesize and evidence.netlist_compared is None:
        yield _contradiction("synthesize=true", "was not synthesised", "--synthesize")


def _contradiction(asked: str, found: str, option: str) -> Finding:
    message = f"{asked} is asked for, and the circuit of the package {found}"
    hint = f"leave the setting out, or make the package anew: dray package MODEL --circuit {option}"
    return Finding(ConfigurationError.code, message, hint, blocking=True)


def _project(settings: RtlSettings, circuit: CircuitModel) -> Iterable[Finding]:
    """That the project folder of a package stays as it was made."""
    for name in ("part", "clock_ns"):
        asked, made = getattr(settings, name), getattr(circuit, name)
        if asked is not None and asked != made:
            said, held = (f"{each:g}" if isinstance(each, float) else each for each in (asked, made))
            message = (
                f"{name}={said} is not what the package's project was made with ({held}), and changes nothing in it"
            )
            yield Finding(_PROJECT, message, "dray package MODEL --circuit makes another")


def _told(circuit: CircuitModel, evidence: CircuitEvidence) -> str:
    size = next((f"{each.luts:,} look-up tables by {each.by}, " for each in evidence.resources), "")
    pace = "every cycle" if circuit.initiation_interval == 1 else f"every {circuit.initiation_interval} cycles"
    return (
        f"a simulation answers, on a CPU, and no FPGA: {circuit.bits} bits, agreement with the model "
        f"{_agreement(evidence):.2%} ({evidence.min_agreement:.2%} asked for), {size}"
        f"{circuit.latency_cycles} cycles of latency, a row {pace}"
    )


def _agreement(evidence: CircuitEvidence) -> float:
    """Of the output that agrees least."""
    return min((each.agreement for each in evidence.agreement.values()), default=0.0)
