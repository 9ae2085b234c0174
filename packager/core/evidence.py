"""The evidence of a package: its certificate, and its circuit's simulations, which no content digest covers."""

from collections.abc import Sequence
from pathlib import Path

from packager.core.artifact import ModelPackage
from packager.core.files import write_atomic
from packager.core.image import Platform
from runtime.contract.certificate import CERTIFICATE_NAME
from runtime.contract.circuit import SIMULATIONS
from runtime.contract.package import file_sha256


def simulated_on(package: ModelPackage) -> tuple[str, ...]:
    """Platforms, such as ``linux/amd64``, on which the package's circuit can be simulated."""
    evidence = package.certificate.circuit
    return tuple(each.platform for each in evidence.simulations) if evidence is not None else ()


def unsimulated(package: ModelPackage, platforms: Sequence[Platform]) -> tuple[str, ...]:
    """Those of the platforms on which the package would never be ready; none for a package without a circuit."""
    if package.manifest.circuit is None:
        return ()
    held = simulated_on(package)
    return tuple(str(each) for each in platforms if str(each) not in held)


def take_evidence(package: ModelPackage, copy: Path) -> None:
    """Give a copy of the same content the package's evidence in place of its own.

    A simulation that another compiler built has other bytes, and only the certificate that came with it names them.

    Raises:
        NotWritable, DiskFull: The copy may be damaged; whoever reads it finds that.
        PackageDamaged: The package was changed meanwhile.
    """
    held = package.certificate.circuit.simulations if package.certificate.circuit else ()
    for each in held:
        if not (copy / each.path).is_file() or file_sha256(copy / each.path) != each.sha256:
            write_atomic(copy / each.path, package.read_content(each.path))
    named = {copy / each.path for each in held}
    for path in (copy / SIMULATIONS).rglob("*"):
        if path.is_file() and path not in named:
            path.unlink()
    write_atomic(copy / CERTIFICATE_NAME, package.certificate.to_bytes())
