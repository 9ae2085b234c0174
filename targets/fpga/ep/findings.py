"""What stands in the way of a card, or is worth knowing: each with one stable code."""

import re
from collections.abc import Iterable
from typing import Final

from packager.core.acceleration import stands_in
from packager.core.artifact import Release
from packager.core.deployment import Finding, Findings
from packager.core.errors import AcceleratorMissing, CardToolsMissing, ConfigurationError, ProviderAbsent
from targets.fpga.ep.host import Host
from targets.fpga.ep.needs import Needs, resource_of
from targets.fpga.ep.settings import EpSettings

_NP: Final = re.compile(r"^Standard_NP\d+", re.IGNORECASE)
# Source: Microsoft, "NP size series retirement".
NP_RETIRES: Final = "2027-05-31"
_RESOURCE: Final = (
    "--set resource=DOMAIN/NAME, as the device plugin calls it: kubectl get nodes -o jsonpath=..allocatable"
)
_ALLOW: Final = "--set fallback=allow serves on the CPU, and says so in every report"


def of_host(settings: EpSettings, needs: Needs, host: Host) -> Findings:
    """What a look at the host showed; where the CPU may stand in, nothing of it stops a deployment."""
    if not host.seen:
        message = f"{host.where} was not looked at: whether it has the card and {settings.provider} shows at the start"
        return (Finding("E-UNCHECKED", message, "the runtime refuses to serve without them, unless fallback=allow"),)
    absent = tuple(_absent(file, host) for file in host.absent)
    found = tuple(_lacking(settings, needs, host))
    if absent or settings.fallback == "forbid":
        return (*found, *absent) if settings.fallback == "forbid" else absent
    lacking = "; ".join(each.message for each in found)
    if not lacking:
        return ()
    return (stands_in(settings.provider, lacking, "fallback=allow was asked for; fallback=forbid refuses this"),)


def of_resource(settings: EpSettings, needs: Needs) -> Findings:
    """That nothing says what stands for the card in a cluster."""
    if settings.where != "kubernetes" or not needs.nodes or resource_of(settings):
        return ()
    message = f"host=kubernetes, and no resource says what stands for the {needs.card} there"
    if settings.fallback == "allow":
        return (stands_in(settings.provider, message, _RESOURCE),)
    return (Finding(ConfigurationError.code, message, _RESOURCE, blocking=True),)


def of_size(settings: EpSettings, host: Host) -> Findings:
    """That Azure ends a series of sizes."""
    sizes = {size for size in (settings.vm_size or "", *(host.offered or {}).values()) if _NP.match(size)}
    if not sizes:
        return ()
    message = f"{', '.join(sorted(sizes))}: Azure retires the NP series on {NP_RETIRES}; nothing runs there after that"
    return (Finding("E-SIZE-RETIRES", message, "plan where the model goes then: another card, or mode=rtl"),)


def of_release(settings: EpSettings, needs: Needs, release: Release) -> Findings:
    """That a model is not in the form that the provider takes, or is a circuit, which no provider takes."""
    if release.package.manifest.circuit is not None:
        message = (
            f"{release.package.manifest.name} holds a circuit, which {settings.provider} does not run: it is simulated"
        )
        hint = "--set mode=rtl serves it; for a card package the model without --circuit"
        return (Finding(ConfigurationError.code, message, hint, blocking=True),)
    done = release.package.certificate.transform
    if needs.quantize is None or (done and any("int8" in step for step in done.steps)):
        return ()
    message = f"{settings.provider} takes int8 models with QDQ nodes, and this package is not one: the CPU would run it"
    return (Finding("E-NOT-QUANTIZED", message, "dray ship MODEL --quantize int8-static --calibration ROWS"),)


def _absent(file: str, host: Host) -> Finding:
    """A slip of whoever wrote the settings, which no fallback excuses."""
    message = f"mounts or provider_options name {file!r}, and {host.where} has no such file or folder"
    return Finding(ConfigurationError.code, message, "name one that is there", blocking=True)


def _lacking(settings: EpSettings, needs: Needs, host: Host) -> Iterable[Finding]:
    if host.offered is not None:
        if not host.has_card:
            message = f"no node of {host.where} offers {resource_of(settings)}"
            hint = f"is the device plugin installed, and resource=NAME its name? {_ALLOW}"
            yield Finding(AcceleratorMissing.code, message, hint, blocking=True)
        return
    absent = [node for node in settings.devices or () if node not in host.nodes]
    if absent or (needs.nodes and not host.nodes):
        what = ", ".join(absent) or f"/dev/{needs.nodes}"
        message = f"{host.where} has no {needs.card}: no device node {what}"
        yield Finding(AcceleratorMissing.code, message, f"the card's driver makes it; {_ALLOW}", blocking=True)
    if needs.xrt and not host.xrt:
        message = f"{host.where} has no XRT: no /opt/xilinx/xrt, no XILINX_XRT, no xrt-smi or xbutil"
        yield Finding(
            CardToolsMissing.code, message, f"install the Xilinx Runtime of the card; {_ALLOW}", blocking=True
        )
    if host.providers is not None and settings.provider not in host.providers:
        message = f"the onnxruntime here has {', '.join(host.providers)}, and no {settings.provider}"
        hint = f"install a build of onnxruntime with it in the place of the plain one; {_ALLOW}"
        yield Finding(ProviderAbsent.code, message, hint, blocking=True)
